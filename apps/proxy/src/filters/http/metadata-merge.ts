/**
 * Merges `update` into `target` as Envoy merges structs: objects field by field, lists appended, other values and
 * values of another kind replaced. `target` is changed; `update` is not.
 */
export function mergeMetadata(target: Record<string, unknown>, update: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(update)) {
    const old = target[key]
    if (Array.isArray(value) && Array.isArray(old)) target[key] = [...old, ...value]
    else if (isObject(value) && isObject(old)) {
      const copy = { ...old }
      mergeMetadata(copy, value)
      target[key] = copy
    } else target[key] = value
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
