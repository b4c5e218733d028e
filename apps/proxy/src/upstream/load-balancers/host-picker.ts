import type { Endpoint } from '../endpoint.ts'
import { cell, type EndpointSlab } from '../endpoint-slab.ts'
import { EdfScheduler } from './edf-scheduler.ts'
import type { EndpointPolicy, SlowStart } from './policy.ts'

/** Picks one of a fixed set of hosts; made anew when the set or its health changes. */
export interface HostPicker {
  pick(): Endpoint
}

/** What pickers look at besides hosts. */
export interface PickerSurroundings {
  slab: EndpointSlab
  /** 0 ≤ x < 1. */
  random: () => number
  /** Monotonic ms. */
  now: () => number
}

/** Policies that choose without a hash. */
export type PickerPolicy = Extract<EndpointPolicy, { type: 'round-robin' | 'least-request' | 'random' }>

/** A picker over at least one host. */
export function createPicker(policy: PickerPolicy, hosts: readonly Endpoint[], around: PickerSurroundings): HostPicker {
  const { slab, random } = around
  if (hosts.length === 1) {
    const only = hosts[0]!
    return { pick: () => only }
  }
  if (policy.type === 'random') return { pick: () => hosts[Math.floor(random() * hosts.length)]! }
  const { slowStart } = policy
  const starting = slowStart !== null && slowStartEndsMs(slowStart, hosts) > around.now()
  const weighted = starting || hosts.some((host) => host.weight !== hosts[0]!.weight)
  const factor = starting ? (host: Endpoint) => slowStartFactor(slowStart, host, around.now()) : () => 1
  if (policy.type === 'round-robin') {
    return weighted ? byDeadline(hosts, (host) => host.weight * factor(host), random) : roundRobin(hosts, random)
  }
  if (!weighted) return policy.fullScan ? leastOfAll(hosts, slab, random) : leastRequest(hosts, slab, policy.choices, random)
  const bias = policy.bias()
  const byLoad = (host: Endpoint): number => (host.weight * factor(host)) / (slab.get(host.slot, cell.activeRequests) + 1) ** bias
  return byDeadline(hosts, byLoad, random)
}

/** When the last of these hosts has its whole weight (monotonic ms); in the past when all have. */
export function slowStartEndsMs(slowStart: SlowStart, hosts: readonly Endpoint[]): number {
  let last = Number.NEGATIVE_INFINITY
  for (const host of hosts) last = Math.max(last, host.healthySinceMs + slowStart.windowMs)
  return last
}

/** Part of its weight that a host gets: it grows with time since it came, and stays above the minimum. */
function slowStartFactor(slowStart: SlowStart, host: Endpoint, nowMs: number): number {
  const age = nowMs - host.healthySinceMs
  if (age >= slowStart.windowMs) return 1
  const time = Math.max(1000, age) / slowStart.windowMs
  const aggression = slowStart.aggression()
  const grown = aggression === 1 || !(aggression > 0) ? time : time ** (1 / aggression)
  return Math.max(grown, slowStart.minWeight)
}

function roundRobin(hosts: readonly Endpoint[], random: () => number): HostPicker {
  let next = Math.floor(random() * hosts.length)
  return {
    pick() {
      if (next >= hosts.length) next = 0
      return hosts[next++]!
    },
  }
}

function leastRequest(hosts: readonly Endpoint[], slab: EndpointSlab, choices: number, random: () => number): HostPicker {
  return {
    pick() {
      let best = hosts[Math.floor(random() * hosts.length)]!
      let load = slab.get(best.slot, cell.activeRequests)
      for (let i = 1; i < choices; i++) {
        const other = hosts[Math.floor(random() * hosts.length)]!
        const otherLoad = slab.get(other.slot, cell.activeRequests)
        if (otherLoad < load) {
          best = other
          load = otherLoad
        }
      }
      return best
    },
  }
}

/** The least loaded of all; among equals each has the same chance. */
function leastOfAll(hosts: readonly Endpoint[], slab: EndpointSlab, random: () => number): HostPicker {
  return {
    pick() {
      let best = hosts[0]!
      let load = slab.get(best.slot, cell.activeRequests)
      let equals = 1
      for (let i = 1; i < hosts.length; i++) {
        const other = hosts[i]!
        const otherLoad = slab.get(other.slot, cell.activeRequests)
        if (otherLoad > load) continue
        equals = otherLoad === load ? equals + 1 : 1
        if (equals === 1 || random() * equals < 1) best = other
        load = otherLoad
      }
      return best
    },
  }
}

function byDeadline(hosts: readonly Endpoint[], weightOf: (host: Endpoint) => number, random: () => number): HostPicker {
  const scheduler = new EdfScheduler(hosts, weightOf)
  // Workers and restarts should not all begin with the same host.
  for (let i = Math.floor(random() * hosts.length); i > 0; i--) scheduler.pick()
  return scheduler
}
