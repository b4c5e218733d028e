import type { Endpoint, Locality } from '../../model/workload.ts'
import type { Distribution, LocalityBalance } from './locality-balance.ts'
import { type Place, placeOf } from './place.ts'

/** Endpoints of one locality that are used together. */
export interface LocalityGroup {
  readonly locality: Locality
  readonly endpoints: readonly Endpoint[]
  /** Relative to the other groups of its priority. */
  readonly weight: number
  /** 0 is used first; the next takes what the ones before cannot. */
  readonly priority: number
}

/** The weight of an endpoint; 1 where none is said. */
export function weightOf({ workload: { weight } }: Endpoint): number {
  return weight > 0 ? weight : 1
}

/** Endpoints by locality, in order of their names, as a proxy at `place` is to use them. */
export function localityGroups(
  endpoints: readonly Endpoint[],
  balance: LocalityBalance | undefined,
  place: Place,
): LocalityGroup[] {
  const byLocality = new Map<string, Endpoint[]>()
  for (const endpoint of endpoints) {
    const { region, zone, subZone } = endpoint.workload.locality
    const key = `${region}/${zone}/${subZone}`
    const group = byLocality.get(key)
    if (group === undefined) byLocality.set(key, [endpoint])
    else group.push(endpoint)
  }
  const groups = [...byLocality].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, own]) => groupOf(own, 0))
  if (balance === undefined) return groups
  if (balance.type === 'distribute') return distributed(groups, balance.rules, place.locality)
  const { labels, regions } = balance
  const ranked = labels.length === 0 ? groups : groups.flatMap((group) => byLabels(group, labels, place))
  if (labels.length > 0 && regions.length === 0) return compact(ranked)
  return compact(
    compact(ranked).map((group) => ({
      ...group,
      priority: group.priority * ranks + regionalRank(group.locality, place.locality, balance),
    })),
  )
}

function groupOf(endpoints: readonly Endpoint[], priority: number): LocalityGroup {
  const weight = endpoints.reduce((sum, endpoint) => sum + weightOf(endpoint), 0)
  return { locality: endpoints[0]!.workload.locality, endpoints, weight, priority }
}

/** Priorities without gaps, as Envoy wants them. */
function compact(groups: readonly LocalityGroup[]): LocalityGroup[] {
  const used = [...new Set(groups.map(({ priority }) => priority))].sort((a, b) => a - b)
  return groups.map((group) => ({ ...group, priority: used.indexOf(group.priority) }))
}

/** How many values `regionalRank` has. */
const ranks = 5

/**
 * 0: the same sub-zone, or all of the region where that is one; 1: zone, 2: region; 3: another one, or that which is named to fail
 * over to; 4: one that is not.
 */
function regionalRank(
  to: Locality,
  from: Locality,
  { regions, wholeRegion }: Extract<LocalityBalance, { type: 'failover' }>,
): number {
  if (to.region === from.region && wholeRegion) return 0
  if (to.region === from.region) return to.zone !== from.zone ? 2 : to.subZone !== from.subZone ? 1 : 0
  const stated = regions.find((region) => region.from === from.region)
  return stated === undefined || stated.to === to.region ? 3 : 4
}

/**
 * A group's endpoints by how many of the labels, from the first on, are as the proxy's. Another network, where that label comes
 * first, is farther than anything in the proxy's own.
 */
function byLabels(group: LocalityGroup, labels: readonly string[], place: Place): LocalityGroup[] {
  const wanted = labels.map((label) => {
    const [name = '', value] = label.split('=', 2)
    return { name, value: value ?? place.labels[name] }
  })
  const hasNetwork = wanted[0]?.name === 'topology.istio.io/network'
  const ranked = new Map<number, Endpoint[]>()
  for (const endpoint of group.endpoints) {
    const { labels: own } = placeOf(endpoint.workload)
    const differs = wanted.map(({ name, value }) => value !== own[name])
    const isElsewhere = hasNetwork && differs[0] === true
    const first = differs.findIndex((other, index) => other && !(index === 0 && isElsewhere))
    const rank = (first < 0 ? 0 : labels.length - first) + (isElsewhere ? labels.length : 0)
    ranked.set(rank, [...(ranked.get(rank) ?? []), endpoint])
  }
  return [...ranked].sort(([a], [b]) => a - b).map(([rank, endpoints]) => groupOf(endpoints, rank))
}

/** Weights by the first rule that is for callers here; localities that it does not name get nothing. */
function distributed(groups: readonly LocalityGroup[], rules: readonly Distribution[], from: Locality): LocalityGroup[] {
  const rule = rules.find((candidate) => matches(candidate.from, from))
  if (rule === undefined) return [...groups]
  const weighed = new Map<LocalityGroup, number>()
  for (const [to, share] of Object.entries(rule.to)) {
    const chosen = groups.filter((group) => !weighed.has(group) && matches(to, group.locality))
    const total = chosen.reduce((sum, { weight }) => sum + weight, 0)
    for (const group of chosen) weighed.set(group, Math.ceil((group.weight * share) / total))
  }
  return groups.flatMap((group) => {
    const weight = weighed.get(group) ?? 0
    return weight > 0 ? [{ ...group, weight }] : []
  })
}

/** Whether a locality is meant by `region/zone/subzone`; `*`, or nothing after the region, is any. */
function matches(pattern: string, { region, zone, subZone }: Locality): boolean {
  const [wantedRegion = '', wantedZone = '', wantedSubZone = ''] = pattern.split('/')
  const isAny = (wanted: string): boolean => wanted === '*' || wanted === ''
  return (
    (wantedRegion === '*' || wantedRegion === region) &&
    (isAny(wantedZone) || wantedZone === zone) &&
    (isAny(wantedSubZone) || wantedSubZone === subZone)
  )
}
