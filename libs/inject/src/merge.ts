import { isRecord } from '@weft/config/document'

/** Lists of a pod that are merged by a key of their items; Kubernetes' API replaces all others as a whole. */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  ephemeralContainers: 'name',
  env: 'name',
  ports: 'containerPort',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  volumes: 'name',
  imagePullSecrets: 'name',
  hostAliases: 'ip',
  topologySpreadConstraints: 'topologyKey',
  resourceClaims: 'name',
}

/**
 * Lays `overlay` over `base` by Kubernetes' strategic merge for pods: objects field by field, lists that have a merge key item
 * by item, everything else replaced; null removes. Merged lists have the overlay's items first, but keep the base's order
 * where both know an item.
 */
export function mergePod<T>(base: T, overlay: unknown): T {
  return mergeValue(base, overlay, '') as T
}

function mergeValue(base: unknown, overlay: unknown, name: string): unknown {
  if (isRecord(base) && isRecord(overlay)) {
    const merged = { ...base }
    for (const [key, value] of Object.entries(overlay)) {
      if (value === undefined) continue
      if (value === null) delete merged[key]
      else merged[key] = mergeValue(Object.hasOwn(base, key) ? base[key] : undefined, value, key)
    }
    return merged
  }
  const key = mergeKeys[name]
  if (Array.isArray(base) && Array.isArray(overlay) && key !== undefined) return mergeList(base, overlay, key)
  return structuredClone(overlay)
}

function mergeList(base: readonly unknown[], overlay: readonly unknown[], key: string): unknown[] {
  const keyOf = (item: unknown): unknown => (isRecord(item) ? item[key] : undefined)
  const baseIndex = new Map(base.map((item, index) => [keyOf(item), index]))
  const overlaid = new Set(overlay.map(keyOf))
  const left = base.filter((item) => !overlaid.has(keyOf(item)))
  const merged: unknown[] = []
  for (const item of overlay) {
    const at = baseIndex.get(keyOf(item))
    if (at !== undefined) while (left.length > 0 && (baseIndex.get(keyOf(left[0])) ?? 0) < at) merged.push(left.shift())
    merged.push(at === undefined ? structuredClone(item) : mergeValue(base[at], item, ''))
  }
  return [...merged, ...left]
}
