// Node's global `performance` is a getter on an object of many: this one is found once.
import { performance } from 'node:perf_hooks'

let inTurn = false
let turnMs = -1

/**
 * Monotonic milliseconds, as performance.now() has them, read once a turn (one read callback and all that follows from it):
 * a request asks nine times, which was a twentieth of its CPU.
 */
export function monotonicMs(): number {
  if (!inTurn) return performance.now()
  if (turnMs < 0) turnMs = performance.now()
  return turnMs
}

/** Until `endTurn`, it is the same time. */
export function beginTurn(): void {
  inTurn = true
  turnMs = -1
}

export function endTurn(): void {
  inTurn = false
}
