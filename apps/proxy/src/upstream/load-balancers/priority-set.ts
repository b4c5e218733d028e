import type { Endpoint } from '../endpoint.ts'
import type { EndpointSlab } from '../endpoint-slab.ts'
import { createPicker, type HostPicker, type PickerPolicy } from './host-picker.ts'

/** The endpoints of one locality at one priority. */
export interface LocalityHosts {
  hosts: readonly Endpoint[]
  /** Share among localities of this priority; 0: none given. */
  weight: number
}

export interface BalancerOptions {
  policy: PickerPolicy
  /** 0…100; below this share of healthy hosts all are used. */
  panicThreshold: number
  localityWeighted: boolean
  /** Percent, 140 by default. */
  overprovisioning: number
}

interface Level {
  /** Picks a locality first when weights count. */
  pick(): Endpoint
}

/**
 * Picks an endpoint of a cluster: a priority by health (Envoy's priority levels, overprovisioning and panic), a locality by
 * weight where that is configured, then a host by the policy. Health is looked at again when the slab's version says so.
 */
export class PrioritySet {
  private readonly priorities: readonly (readonly LocalityHosts[])[]
  private readonly options: BalancerOptions
  private readonly slab: EndpointSlab
  private readonly random: () => number
  private version = -1
  private levels: { level: Level; share: number }[] = []
  /** Set when every host of the chosen level is used because too few are healthy. */
  panic = false
  healthyCount = 0

  constructor(
    priorities: readonly (readonly LocalityHosts[])[],
    options: BalancerOptions,
    slab: EndpointSlab,
    random: () => number,
  ) {
    this.priorities = priorities
    this.options = options
    this.slab = slab
    this.random = random
  }

  /** An endpoint, or null when there is none to use. */
  pick(): Endpoint | null {
    if (this.version !== this.slab.version) this.refresh()
    const { levels } = this
    if (levels.length === 0) return null
    if (levels.length === 1) return levels[0]!.level.pick()
    let draw = this.random() * 100
    for (const { level, share } of levels) {
      draw -= share
      if (draw < 0) return level.pick()
    }
    return levels[levels.length - 1]!.level.pick()
  }

  /** Works the shares out anew. */
  refresh(): void {
    this.version = this.slab.version
    const { priorities, options, slab } = this
    const counts = priorities.map((localities) => {
      let total = 0
      let healthy = 0
      let degraded = 0
      for (const { hosts } of localities) {
        for (const host of hosts) {
          total++
          if (host.isHealthy(slab)) healthy++
          else if (host.isDegraded(slab)) degraded++
        }
      }
      return { total, healthy, degraded }
    })
    this.healthyCount = counts.reduce((sum, count) => sum + count.healthy, 0)
    const availability = counts.map(({ total, healthy }) =>
      total === 0 ? 0 : Math.min(100, Math.floor((options.overprovisioning * healthy) / total)),
    )
    const degradedAvailability = counts.map(({ total, degraded }) =>
      total === 0 ? 0 : Math.min(100, Math.floor((options.overprovisioning * degraded) / total)),
    )
    const available = Math.min(
      100,
      [...availability, ...degradedAvailability].reduce((sum, value) => sum + value, 0),
    )
    this.panic = false
    this.levels = []
    let left = 100
    const shareOut = (values: readonly number[], kind: 'healthy' | 'degraded') => {
      for (let i = 0; i < priorities.length && left > 0; i++) {
        const value = available === 0 ? 0 : Math.min(left, Math.round((values[i]! * 100) / available))
        if (value <= 0) continue
        left -= value
        const { total, healthy } = counts[i]!
        const inPanic = available < 100 && kind === 'healthy' && (healthy / total) * 100 < options.panicThreshold
        if (inPanic) this.panic = true
        const level = this.createLevel(priorities[i]!, inPanic ? 'all' : kind)
        if (level !== null) this.levels.push({ level, share: value })
      }
    }
    shareOut(availability, 'healthy')
    shareOut(degradedAvailability, 'degraded')
    if (this.levels.length > 0 || options.panicThreshold === 0) return
    // Nothing is healthy at all: every priority by its size.
    const all = counts.reduce((sum, count) => sum + count.total, 0)
    for (let i = 0; i < priorities.length; i++) {
      const level = this.createLevel(priorities[i]!, 'all')
      if (level === null) continue
      this.panic = true
      this.levels.push({ level, share: (counts[i]!.total * 100) / all })
    }
  }

  private createLevel(localities: readonly LocalityHosts[], which: 'healthy' | 'degraded' | 'all'): Level | null {
    const { slab, options, random } = this
    const usable = (host: Endpoint) =>
      which === 'all' ? true : which === 'healthy' ? host.isHealthy(slab) : host.isDegraded(slab)
    if (!options.localityWeighted) {
      const hosts = localities.flatMap((locality) => locality.hosts.filter(usable))
      return hosts.length === 0 ? null : createPicker(options.policy, hosts, slab, random)
    }
    const parts: { picker: HostPicker; weight: number }[] = []
    let sum = 0
    for (const locality of localities) {
      const hosts = locality.hosts.filter(usable)
      if (hosts.length === 0 || locality.weight === 0) continue
      // A locality that lost hosts gets less, beyond what overprovisioning covers.
      const health = Math.min(1, (options.overprovisioning / 100) * (hosts.length / locality.hosts.length))
      const weight = locality.weight * health
      sum += weight
      parts.push({ picker: createPicker(options.policy, hosts, slab, random), weight })
    }
    if (parts.length === 0) return null
    return {
      pick() {
        let draw = random() * sum
        for (const { picker, weight } of parts) {
          draw -= weight
          if (draw < 0) return picker.pick()
        }
        return parts[parts.length - 1]!.picker.pick()
      },
    }
  }
}
