/** Whether what lives in `namespace` with this exportTo is seen in `viewer`; an empty list is the mesh's default. */
export function exportedTo(exportTo: readonly string[], defaults: readonly string[], namespace: string, viewer: string): boolean {
  for (const target of exportTo.length === 0 ? defaults : exportTo) {
    if (target === '*' || target === viewer || (target === '.' && namespace === viewer)) return true
  }
  return false
}
