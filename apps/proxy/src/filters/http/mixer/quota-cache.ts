import type { Bag } from '@weft/attributes/bag'
import { CheckCache } from '@weft/attributes/check-cache'
import type { Reference } from '@weft/attributes/references'

/** Quota cells kept: distinct values of the dimensions that quotas are counted by. */
const MAX_CELLS = 10_000
/** Part of a second's demand that is fetched ahead: enough to save most calls of a busy sidecar, too little to starve others. */
const PREFETCH_SECONDS = 0.2
/** After a refusal nothing is asked for this long. */
const CLOSED_MS = 100
/** A grant without end is used up within this, so that what others give back is seen. */
const ENDLESS_MS = 60_000

/** What one quota has for one set of dimensions. */
interface Cell {
  tokens: number
  expiresAtMs: number
  closedUntilMs: number
  /** Demand of this second and the one before. */
  second: number
  demand: number
  demandBefore: number
  isFetching: boolean
}

/** What the cache can say of a charge. `ask`: how much to ask Mixer for, the charge included. */
export type QuotaAnswer = { type: 'granted'; prefetch: number } | { type: 'denied' } | { type: 'unknown'; ask: number }

const GRANTED: QuotaAnswer = { type: 'granted', prefetch: 0 }
const DENIED: QuotaAnswer = { type: 'denied' }

/**
 * Quota fetched ahead of its use, by quota and by the attributes that it is counted by. How much is fetched follows the
 * demand: a sidecar with a few requests a second asks for exactly what it needs each time.
 */
export class QuotaCache {
  readonly #cells = new Map<string, CheckCache<Cell>>()

  /** Takes a charge from what is at hand. */
  take(name: string, amount: number, bag: Bag, nowMs: number): QuotaAnswer {
    const cell = this.#cells.get(name)?.get(bag, nowMs)
    if (cell === undefined) return { type: 'unknown', ask: amount }
    const ahead = Math.floor(countDemand(cell, amount, nowMs) * PREFETCH_SECONDS)
    if (nowMs >= cell.expiresAtMs) cell.tokens = 0
    if (cell.tokens >= amount) {
      cell.tokens -= amount
      if (cell.isFetching || cell.tokens * 2 >= ahead || nowMs < cell.closedUntilMs) return GRANTED
      cell.isFetching = true
      return { type: 'granted', prefetch: ahead }
    }
    if (nowMs < cell.closedUntilMs) return DENIED
    return { type: 'unknown', ask: amount + ahead }
  }

  /** Gives back a charge taken for a request that did not pass after all. */
  giveBack(name: string, amount: number, bag: Bag, nowMs: number): void {
    const cell = this.#cells.get(name)?.get(bag, nowMs)
    if (cell !== undefined) cell.tokens += amount
  }

  /**
   * Notes what Mixer granted. `wanted`: what was asked for; `used`: the part that the request in hand takes. `references`:
   * what the quota is counted by; undefined when that is not known, and nothing can be kept.
   */
  granted(
    name: string,
    bag: Bag,
    references: readonly Reference[] | undefined,
    grant: { amount: number; wanted: number; used: number; validMs: number },
    nowMs: number,
  ): void {
    if (references === undefined) return
    let cells = this.#cells.get(name)
    if (cells === undefined) {
      cells = new CheckCache({ capacity: MAX_CELLS })
      this.#cells.set(name, cells)
    }
    let cell = cells.get(bag, nowMs)
    if (cell === undefined) {
      cell = { tokens: 0, expiresAtMs: 0, closedUntilMs: 0, second: 0, demand: 0, demandBefore: 0, isFetching: false }
      countDemand(cell, grant.used, nowMs)
      // The cell itself stays: only its tokens end. It goes when room is needed.
      cells.set(bag, references, cell, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, nowMs)
    }
    cell.isFetching = false
    if (nowMs >= cell.expiresAtMs) cell.tokens = 0
    const left = Math.max(0, grant.amount - grant.used)
    if (left > 0) {
      const expiresAtMs = nowMs + (grant.validMs > 0 ? grant.validMs : ENDLESS_MS)
      // Tokens of two grants in one cell end with the first of them.
      cell.expiresAtMs = cell.tokens === 0 ? expiresAtMs : Math.min(cell.expiresAtMs, expiresAtMs)
      cell.tokens += left
    }
    if (grant.amount < grant.wanted) cell.closedUntilMs = nowMs + CLOSED_MS
  }

  clear(): void {
    this.#cells.clear()
  }

  /** A fetch ahead failed: the next charge may try again. */
  fetchFailed(name: string, bag: Bag, nowMs: number): void {
    const cell = this.#cells.get(name)?.get(bag, nowMs)
    if (cell !== undefined) cell.isFetching = false
  }
}

/** Counts a charge, and gives the demand of the last second: this one's so far and the rest from the one before. */
function countDemand(cell: Cell, amount: number, nowMs: number): number {
  const second = Math.floor(nowMs / 1000)
  if (second !== cell.second) {
    cell.demandBefore = second === cell.second + 1 ? cell.demand : 0
    cell.demand = 0
    cell.second = second
  }
  cell.demand += amount
  return cell.demand + cell.demandBefore * (1 - (nowMs % 1000) / 1000)
}
