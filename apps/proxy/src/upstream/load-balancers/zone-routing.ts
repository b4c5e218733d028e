import type { BalancerStats } from './balancer-stats.ts'

/** Hosts of a locality, as zone-aware routing counts them. */
export interface ZoneCount {
  locality: string
  hosts: number
}

/** The cluster of this proxy itself and its like: how its healthy hosts spread over localities. */
export interface LocalZones {
  /** Grows with each change. */
  version: number
  healthy: readonly ZoneCount[]
  /** Healthy share of its hosts, percent. */
  healthyPercent: number
}

/** Percentages are in hundredths. */
const whole = 10_000

/**
 * Zone-aware routing of one priority (Envoy's "Zone aware routing"): as much as possible stays in this proxy's locality, the
 * rest goes where upstream has capacity that its own locality does not need. Localities stand with the local one first.
 */
export class ZoneRouting {
  private readonly stats: BalancerStats
  private readonly random: () => number
  private readonly direct: boolean
  private readonly localShare: number
  private readonly residual: number[] = []

  constructor(
    upstream: readonly ZoneCount[],
    hasLocal: boolean,
    local: readonly ZoneCount[],
    stats: BalancerStats,
    random: () => number,
  ) {
    this.stats = stats
    this.random = random
    const localTotal = local.reduce((sum, { hosts }) => sum + hosts, 0)
    const upstreamTotal = upstream.reduce((sum, { hosts }) => sum + hosts, 0)
    const localHosts = new Map(local.map(({ locality, hosts }) => [locality, hosts]))
    const shares = upstream.map(({ locality, hosts }) => ({
      upstream: upstreamTotal === 0 ? 0 : Math.floor((whole * hosts) / upstreamTotal),
      local: hosts === 0 || localTotal === 0 ? 0 : Math.floor((whole * (localHosts.get(locality) ?? 0)) / localTotal),
    }))
    const here = shares[0]
    this.direct = hasLocal && here !== undefined && here.upstream > 0 && here.upstream >= here.local
    this.localShare = hasLocal && here !== undefined && here.local > 0 ? Math.floor((here.upstream * whole) / here.local) : 0
    let sum = 0
    shares.forEach((share, i) => {
      if (!(i === 0 && hasLocal) && share.upstream > share.local) sum += share.upstream - share.local
      this.residual.push(sum)
    })
  }

  /** Index of the locality for one request. */
  choose(): number {
    const { stats, residual, random } = this
    if (this.direct) {
      stats.zoneAllDirectly.inc()
      return 0
    }
    if (Math.floor(random() * whole) < this.localShare) {
      stats.zoneSampled.inc()
      return 0
    }
    stats.zoneCross.inc()
    const capacity = residual[residual.length - 1] ?? 0
    if (capacity === 0) {
      stats.zoneNoCapacity.inc()
      return Math.floor(random() * residual.length)
    }
    const point = Math.floor(random() * capacity)
    let i = 0
    while (point >= residual[i]!) i++
    return i
  }
}
