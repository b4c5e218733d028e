import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { LocalityLbEndpoints } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { cell, type EndpointSlab, healthFlag } from '../upstream/endpoint-slab.ts'
import { endpointKey } from './endpoint-slots.ts'

/**
 * The assignment with those endpoints that it has no longer but whose active health checks still pass: discovery may be
 * wrong or slow, so an endpoint goes when both say so. What is kept is flagged as pending removal. `before`: what was live.
 */
export function withKeptEndpoints(
  wanted: ClusterLoadAssignment,
  before: ClusterLoadAssignment,
  slots: ReadonlyMap<string, number>,
  slab: EndpointSlab,
): ClusterLoadAssignment {
  const named = new Set(wanted.endpoints.flatMap(({ lbEndpoints }) => lbEndpoints.map(endpointKey)))
  const flag = (key: string, on: boolean): void => void slab.setHealth(slots.get(key) ?? 0, healthFlag.pendingDynamicRemoval, on)
  for (const key of named) if (key !== undefined) flag(key, false)
  const kept: LocalityLbEndpoints[] = []
  for (const group of before.endpoints) {
    const staying = group.lbEndpoints.filter((endpoint) => {
      const key = endpointKey(endpoint)
      if (key === undefined || named.has(key)) return false
      const health = slab.get(slots.get(key) ?? 0, cell.health)
      return (health & (healthFlag.failedActiveCheck | healthFlag.pendingActiveCheck)) === 0
    })
    if (staying.length === 0) continue
    for (const endpoint of staying) flag(endpointKey(endpoint) ?? '', true)
    kept.push({ ...group, lbEndpoints: staying })
  }
  return kept.length === 0 ? wanted : { ...wanted, endpoints: [...wanted.endpoints, ...kept] }
}
