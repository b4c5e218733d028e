import type { Locality } from '../../model/workload.ts'
import { parseLocality } from '../../registries/file/workloads.ts'
import type { Scope } from '../../scope/scope.ts'

/** The labels that say where something stands. */
export const topology = {
  network: 'topology.istio.io/network',
  region: 'topology.kubernetes.io/region',
  zone: 'topology.kubernetes.io/zone',
  subZone: 'topology.istio.io/subzone',
  node: 'kubernetes.io/hostname',
} as const

/** Where a proxy or a workload stands. */
export interface Place {
  readonly locality: Locality
  /** Its own, and those of its topology. */
  readonly labels: Readonly<Record<string, string>>
}

interface Standing {
  locality: Locality
  network: string
  node?: string | undefined
  labels: Readonly<Record<string, string>>
}

/** The place of a workload. */
export function placeOf({ locality, network, node = '', labels }: Standing): Place {
  const own: Record<string, string> = { ...labels }
  const { region, zone, subZone } = locality
  for (const [name, value] of Object.entries({ network, region, zone, subZone, node })) {
    if (value !== '') own[topology[name as keyof typeof topology]] = value
  }
  return { locality, labels: own }
}

const places = new WeakMap<Scope, Place>()

/** The place of a proxy: what it says itself, else its label `istio-locality`, else what the registry knows of its workload. */
export function placeOfProxy(scope: Scope): Place {
  const known = places.get(scope)
  if (known !== undefined) return known
  const { proxy, workload, labels } = scope
  const label = labels['istio-locality']
  const ofWorkload = workload?.locality ?? { region: '', zone: '', subZone: '' }
  const locality =
    proxy.locality.region !== '' || proxy.locality.zone !== ''
      ? proxy.locality
      : label === undefined
        ? ofWorkload
        : parseLocality(label.replaceAll('.', '/'))
  const place = placeOf({
    locality,
    network: proxy.network || (workload?.network ?? ''),
    node: proxy.nodeName || workload?.node,
    labels,
  })
  places.set(scope, place)
  return place
}
