import type { Endpoint } from '../endpoint.ts'
import { cell, type EndpointSlab } from '../endpoint-slab.ts'

/** Picks one of a fixed set of hosts; made anew when the set or its health changes. */
export interface HostPicker {
  pick(): Endpoint
}

/** How a cluster wants hosts picked. */
export type PickerPolicy = { type: 'round-robin' } | { type: 'least-request'; choices: number; bias: number } | { type: 'random' }

/** A picker over at least one host. `random` gives 0 ≤ x < 1. */
export function createPicker(
  policy: PickerPolicy,
  hosts: readonly Endpoint[],
  slab: EndpointSlab,
  random: () => number,
): HostPicker {
  if (hosts.length === 1) {
    const only = hosts[0]!
    return { pick: () => only }
  }
  const weighted = hosts.some((host) => host.weight !== hosts[0]!.weight)
  switch (policy.type) {
    case 'round-robin':
      return weighted ? earliestDeadline(hosts, (host) => host.weight, random) : roundRobin(hosts, random)
    case 'least-request':
      return weighted
        ? earliestDeadline(hosts, (host) => host.weight / (slab.get(host.slot, cell.activeRequests) + 1) ** policy.bias, random)
        : leastRequest(hosts, slab, policy.choices, random)
    case 'random':
      return { pick: () => hosts[Math.floor(random() * hosts.length)]! }
  }
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

/**
 * Weighted picking by earliest deadline first: each host comes up every 1/weight on a virtual clock, in a heap. The weight
 * is asked for again each time a host is put back, so that a weight that follows load works too.
 */
function earliestDeadline(hosts: readonly Endpoint[], weightOf: (host: Endpoint) => number, random: () => number): HostPicker {
  const heap: { host: Endpoint; deadline: number; order: number }[] = []
  let order = 0
  for (const host of hosts) push(heap, { host, deadline: 1 / Math.max(weightOf(host), 1e-6), order: order++ })
  const picker = {
    pick() {
      const first = heap[0]!
      const { host, deadline } = first
      heap[0] = { host, deadline: deadline + 1 / Math.max(weightOf(host), 1e-6), order: order++ }
      sink(heap, 0)
      return host
    },
  }
  // Workers and restarts should not all begin with the same host.
  for (let i = Math.floor(random() * hosts.length); i > 0; i--) picker.pick()
  return picker
}

type Entry = { deadline: number; order: number }

function before(a: Entry, b: Entry): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order)
}

function push<T extends Entry>(heap: T[], entry: T): void {
  heap.push(entry)
  let at = heap.length - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!before(heap[at]!, heap[parent]!)) return
    swap(heap, at, parent)
    at = parent
  }
}

function sink<T extends Entry>(heap: T[], from: number): void {
  let at = from
  for (;;) {
    const left = at * 2 + 1
    let least = at
    if (left < heap.length && before(heap[left]!, heap[least]!)) least = left
    if (left + 1 < heap.length && before(heap[left + 1]!, heap[least]!)) least = left + 1
    if (least === at) return
    swap(heap, at, least)
    at = least
  }
}

function swap<T>(heap: T[], a: number, b: number): void {
  const held = heap[a]!
  heap[a] = heap[b]!
  heap[b] = held
}
