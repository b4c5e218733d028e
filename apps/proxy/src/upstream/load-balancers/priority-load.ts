/** How the health of a priority is judged, as an assignment's policy says. */
export interface PriorityJudging {
  /** Percent: how much more than their share the healthy hosts can carry. */
  overprovisioning: number
  /** Weights of hosts count, not their number. */
  byWeight: boolean
}

export const defaultJudging: PriorityJudging = { overprovisioning: 140, byWeight: false }

/** How many hosts of a priority are in which state; `total` without those that do not count yet (excluded). */
export interface PriorityCounts {
  /** All, the excluded too. */
  hosts: number
  excluded: number
  healthy: number
  degraded: number
  /** Weights instead of numbers, where priorities are judged by weight; else the same numbers. */
  totalWeight: number
  healthyWeight: number
  degradedWeight: number
  overprovisioning: number
}

/** Percent of requests each priority gets, by its healthy and by its degraded hosts; together 100. */
export interface PriorityLoads {
  healthy: number[]
  degraded: number[]
  /** Priorities where too few hosts are well, so that all are used. */
  panic: boolean[]
}

/**
 * The shares of priorities as Envoy works them out ("Priority levels", "Degraded endpoints", "Panic threshold"): the first
 * takes what its health allows, the rest goes on to the next. `excluded`: priorities not to use (a retry's).
 */
export function priorityLoads(
  counts: readonly PriorityCounts[],
  panicThreshold: number,
  excluded: readonly boolean[] = [],
): PriorityLoads | null {
  const health = counts.map((count, i) => (excluded[i] === true ? 0 : availability(count, count.healthyWeight)))
  const degradation = counts.map((count, i) => (excluded[i] === true ? 0 : availability(count, count.degradedWeight)))
  const total = Math.min(
    100,
    [...health, ...degradation].reduce((sum, value) => sum + value, 0),
  )
  const loads: PriorityLoads = {
    healthy: counts.map(() => 0),
    degraded: counts.map(() => 0),
    panic: counts.map(() => false),
  }
  if (counts.length === 0) return loads
  if (total > 0) {
    const first = distribute(loads.healthy, health, 100, total)
    const second = distribute(loads.degraded, degradation, first.left, total)
    if (second.left > 0) {
      if (first.first >= 0) loads.healthy[first.first]! += second.left
      else loads.degraded[second.first]! += second.left
    }
  }
  if (excluded.length > 0) return total === 0 ? null : loads
  if (panicThreshold === 0 && total === 0) {
    // Nobody is there and all must not be used: whoever asks finds no host at the first priority.
    loads.healthy[0] = 100
    return loads
  }
  loads.panic = counts.map((count) => total < 100 && inPanic(count, panicThreshold))
  if (loads.panic.every((panic) => panic)) bySize(counts, loads)
  return loads
}

/** Whether fewer hosts than the threshold's percentage are healthy or degraded. */
function inPanic(count: PriorityCounts, threshold: number): boolean {
  const relevant = count.hosts - count.excluded
  const well = relevant === 0 ? 0 : (100 * (count.healthy + count.degraded)) / relevant
  return well < threshold
}

function availability(count: PriorityCounts, weight: number): number {
  if (count.totalWeight === 0) return 0
  return Math.min(100, Math.floor((count.overprovisioning * weight) / count.totalWeight))
}

function distribute(into: number[], values: readonly number[], load: number, total: number): { first: number; left: number } {
  let first = -1
  let left = load
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (first < 0 && value > 0) first = i
    const share = Math.min(left, Math.floor((value * 100) / total))
    into[i] = share
    left -= share
  }
  return { first, left }
}

function bySize(counts: readonly PriorityCounts[], loads: PriorityLoads): void {
  const all = counts.reduce((sum, { hosts }) => sum + hosts, 0)
  loads.healthy.fill(0)
  loads.degraded.fill(0)
  if (all === 0) {
    loads.healthy[0] = 100
    return
  }
  let left = 100
  counts.forEach(({ hosts }, i) => {
    loads.healthy[i] = Math.floor((100 * hosts) / all)
    left -= loads.healthy[i]!
  })
  loads.healthy[counts.findIndex(({ hosts }) => hosts > 0)]! += left
}

/** The priority for a draw of 1…100; degraded hosts' come behind all healthy ones', as `~priority`. */
export function choosePriority(draw: number, loads: PriorityLoads): number {
  let sum = 0
  for (let i = 0; i < loads.healthy.length; i++) {
    sum += loads.healthy[i]!
    if (draw <= sum) return i
  }
  for (let i = 0; i < loads.degraded.length; i++) {
    sum += loads.degraded[i]!
    if (draw <= sum) return ~i
  }
  return 0
}
