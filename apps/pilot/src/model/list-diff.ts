/** Items of two lists that only one of them has, by identity: what went, and what came. */
export function listDiff<T>(before: readonly T[], after: readonly T[]): { gone: ReadonlySet<T>; come: readonly T[] } {
  const gone = new Set(before)
  const come = after.filter((item) => !gone.has(item))
  for (const item of after) gone.delete(item)
  return { gone, come }
}
