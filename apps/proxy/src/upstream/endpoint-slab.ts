/**
 * What all threads have to agree on about endpoints and clusters, in one shared Int32Array: health and ejection (written
 * by the main thread), active requests (written by workers, read by least-request and by circuit breakers), and the
 * outcomes that outlier detection looks at. A slot is `slotCells` numbers; the main thread gives slots out (an endpoint
 * one, a cluster's circuit-breaker one for each priority) and takes them back when the owner is gone.
 */

/** Cells of a slot. An endpoint and a circuit-breaker slot use the same layout; the last words differ in meaning only. */
export const cell = {
  /** Bits of `health`. */
  health: 0,
  activeRequests: 1,
  activeConnections: 2,
  pendingRequests: 3,
  activeRetries: 4,
  /** Outcomes since the slot was made; wrap around. */
  requestsTotal: 5,
  requestsSuccess: 6,
  requestsError: 7,
  /** In a row; a success sets 0. */
  consecutive5xx: 8,
  consecutiveGatewayErrors: 9,
  consecutiveLocalFailures: 10,
  connectFailures: 11,
  connectionsTotal: 12,
  /** Weight changes, slow start: ms since the slab's epoch at which the endpoint came or got healthy. */
  since: 13,
  /** Outcomes on this side, where outlier detection counts them apart. */
  localSuccesses: 14,
  localFailures: 15,
} as const

/** Bits of the health cell; 0 is healthy. As Envoy's host health flags. */
export const healthFlag = {
  failedActiveCheck: 1,
  failedOutlierCheck: 2,
  failedEdsHealth: 4,
  degradedActiveCheck: 8,
  degradedEdsHealth: 16,
  pendingDynamicRemoval: 32,
  pendingActiveCheck: 64,
  draining: 128,
  /** The endpoint asked by its health check's answer not to be counted at all. */
  excludedByCheck: 256,
  /** The last check failed by time. */
  activeCheckTimeout: 512,
  /** Its answers say that it is degraded, and outlier detection looks for that: set by workers, cleared by the main thread. */
  degradedByAnswers: 1024,
} as const

/** The bits that take an endpoint out of rotation. */
export const unhealthyMask =
  healthFlag.failedActiveCheck |
  healthFlag.failedOutlierCheck |
  healthFlag.failedEdsHealth |
  healthFlag.draining |
  healthFlag.pendingActiveCheck
/** The bits that take an endpoint out of the number of hosts that health is measured against. */
export const excludedMask = healthFlag.pendingActiveCheck | healthFlag.draining | healthFlag.excludedByCheck
export const degradedMask = healthFlag.degradedActiveCheck | healthFlag.degradedEdsHealth | healthFlag.degradedByAnswers

const slotCells = 16
/** Slot 0's first cell: a version that grows with every change of health, so that workers see when to sort hosts anew. */
const versionCell = 0
/** Its second: grows when an endpoint has failed often enough for the main thread to look. */
const alertCell = 1

/** A view of the slab; every thread makes its own over the same memory. */
export class EndpointSlab {
  readonly buffer: SharedArrayBuffer
  readonly cells: Int32Array
  readonly capacity: number
  private readonly free: number[] = []
  private next = 1

  /** A view of `buffer`, or new memory for `capacity` slots (the first is the slab's own). */
  constructor(source: SharedArrayBuffer | number) {
    this.buffer = typeof source === 'number' ? new SharedArrayBuffer((source + 1) * slotCells * 4) : source
    this.cells = new Int32Array(this.buffer)
    this.capacity = this.buffer.byteLength / (slotCells * 4) - 1
  }

  /** Main thread only: a cleared slot, or 0 when all are taken (then the owner goes uncounted). */
  allocate(): number {
    const slot = this.free.pop() ?? (this.next <= this.capacity ? this.next++ : 0)
    if (slot !== 0) this.cells.fill(0, slot * slotCells, (slot + 1) * slotCells)
    return slot
  }

  /** Main thread only, when no worker uses the slot any more. */
  release(slot: number): void {
    if (slot !== 0) this.free.push(slot)
  }

  get(slot: number, which: number): number {
    // A plain read: an aligned cell is never half written, and no other memory's order hangs on it.
    return slot === 0 ? 0 : this.cells[slot * slotCells + which]!
  }

  /** Adds and gives the value after. */
  add(slot: number, which: number, amount: number): number {
    return slot === 0 ? 0 : Atomics.add(this.cells, slot * slotCells + which, amount) + amount
  }

  set(slot: number, which: number, value: number): void {
    if (slot !== 0) Atomics.store(this.cells, slot * slotCells + which, value)
  }

  /** Sets or clears bits of an endpoint's health; says whether something changed (then `version` grew). */
  setHealth(slot: number, flag: number, on: boolean): boolean {
    if (slot === 0) return false
    const at = slot * slotCells + cell.health
    const before = on ? Atomics.or(this.cells, at, flag) : Atomics.and(this.cells, at, ~flag)
    const changed = ((before & flag) !== 0) !== on
    if (changed) Atomics.add(this.cells, versionCell, 1)
    return changed
  }

  /** Asks the main thread to look at failures in a row now. */
  alert(): void {
    Atomics.add(this.cells, alertCell, 1)
    Atomics.notify(this.cells, alertCell)
  }

  /** Main thread: calls when somebody alerts, until the signal aborts. */
  async onAlert(look: () => void, signal: AbortSignal): Promise<void> {
    let seen = Atomics.load(this.cells, alertCell)
    while (!signal.aborted) {
      const waiting = Atomics.waitAsync(this.cells, alertCell, seen)
      if (waiting.async) await waiting.value
      if (signal.aborted) return
      seen = Atomics.load(this.cells, alertCell)
      look()
    }
  }

  /** Grows with each change of health. */
  get version(): number {
    return this.cells[versionCell]!
  }
}
