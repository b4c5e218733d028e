/** What the proxy does when a resource grows short, each to a share of 0…1. */
export const overloadActions = [
  'stop_accepting_requests',
  'disable_http_keepalive',
  'stop_accepting_connections',
  'reject_incoming_connections',
  'reduce_timeouts',
] as const
/** Timeouts that `reduce_timeouts` shortens. */
export const scaledTimeouts = ['connection-idle', 'connection-max', 'stream-idle', 'transport-socket-connect'] as const
/** Places where load is shed with a probability. */
export const loadShedPoints = ['tcp_listener_accept', 'http_connection_manager_decode_headers'] as const

export type OverloadAction = (typeof overloadActions)[number]
export type ScaledTimeout = (typeof scaledTimeouts)[number]
/** To what a timeout shrinks at most. */
export type TimeoutFloor = { type: 'ms'; ms: number } | { type: 'share'; share: number }
export type LoadShedPoint = (typeof loadShedPoints)[number]

/** Shares are kept as millionths. */
const whole = 1_000_000
const shared: readonly string[] = [...overloadActions, ...loadShedPoints]
/** Two cells a timeout: its least (ms), and its least as a share of itself; -1: not that. */
const floors = 4 + shared.length
const cell = { healthCheckFailed: 0, overloaded: 1, maxConnections: 2, connections: 3, shares: 4 } as const

/** State of the whole process that every thread reads, in shared memory: a change is seen by the very next request. */
export class ProcessState {
  readonly buffer: SharedArrayBuffer
  private readonly cells: Int32Array
  /** 0 ≤ x < 1; replaced by tests. */
  random: () => number = Math.random

  /** A view of `buffer`, or a new state. */
  constructor(buffer: SharedArrayBuffer = newState()) {
    this.buffer = buffer
    this.cells = new Int32Array(buffer)
  }

  /** Whether the operator has the proxy fail health checks (admin `/healthcheck/fail`). */
  get healthCheckFailed(): boolean {
    return this.cells[cell.healthCheckFailed] === 1
  }

  set healthCheckFailed(failed: boolean) {
    Atomics.store(this.cells, cell.healthCheckFailed, failed ? 1 : 0)
  }

  /** Whether any action or load-shed point is above 0: else there is nothing to ask. */
  get overloaded(): boolean {
    // A plain read, as of an endpoint's cells: many requests ask, and nothing else in memory hangs on its order.
    return this.cells[cell.overloaded] !== 0
  }

  /** Sets the share (0…1) of an action or a load-shed point. */
  setShare(name: OverloadAction | LoadShedPoint, share: number): void {
    Atomics.store(this.cells, cell.shares + shared.indexOf(name), Math.round(share * whole))
    let any = 0
    for (let i = 0; i < shared.length; i++) if (Atomics.load(this.cells, cell.shares + i) > 0) any = 1
    Atomics.store(this.cells, cell.overloaded, any)
  }

  /** Whether an action is at its whole share. */
  saturated(name: OverloadAction): boolean {
    return this.overloaded && Atomics.load(this.cells, cell.shares + shared.indexOf(name)) >= whole
  }

  /** Draws whether an action or a load-shed point holds this time. */
  draws(name: OverloadAction | LoadShedPoint): boolean {
    if (!this.overloaded) return false
    const share = Atomics.load(this.cells, cell.shares + shared.indexOf(name))
    return share > 0 && this.random() * whole < share
  }

  /** Lets a timeout be shortened by `reduce_timeouts`, down to `floor`. */
  setFloor(name: ScaledTimeout, floor: TimeoutFloor): void {
    const at = floors + 2 * scaledTimeouts.indexOf(name)
    Atomics.store(this.cells, at, floor.type === 'ms' ? Math.min(floor.ms, 2 ** 31 - 1) : -1)
    Atomics.store(this.cells, at + 1, floor.type === 'share' ? Math.round(floor.share * whole) : -1)
  }

  /** Whether a timeout may get shorter while it runs: then whoever waits for it has to look at times. */
  isScaled(name: ScaledTimeout): boolean {
    const at = floors + 2 * scaledTimeouts.indexOf(name)
    return this.cells[at]! >= 0 || this.cells[at + 1]! >= 0
  }

  /** A timeout as it is now: `ms`, or less while resources are short. */
  scaled(name: ScaledTimeout, ms: number): number {
    if (!this.overloaded || ms <= 0 || !this.isScaled(name)) return ms
    const share = Atomics.load(this.cells, cell.shares + shared.indexOf('reduce_timeouts')) / whole
    const at = floors + 2 * scaledTimeouts.indexOf(name)
    const leastMs = Atomics.load(this.cells, at)
    const least = leastMs >= 0 ? Math.min(leastMs, ms) : (ms * Atomics.load(this.cells, at + 1)) / whole
    // 0 would be no limit at all.
    return Math.max(1, least + (ms - least) * (1 - share))
  }

  /** The most connections that clients may have with all listeners together; 0: any number. */
  set maxConnections(most: number) {
    Atomics.store(this.cells, cell.maxConnections, Math.min(most, 2 ** 31 - 1))
  }

  /** Counts a connection; false, and it does not count, when there are too many. */
  enterConnection(): boolean {
    const most = Atomics.load(this.cells, cell.maxConnections)
    if (Atomics.add(this.cells, cell.connections, 1) < most || most === 0) return true
    Atomics.sub(this.cells, cell.connections, 1)
    return false
  }

  leaveConnection(): void {
    Atomics.sub(this.cells, cell.connections, 1)
  }

  /** Connections as a share of the most; 0 without a limit. */
  get connectionShare(): number {
    const most = Atomics.load(this.cells, cell.maxConnections)
    return most === 0 ? 0 : Atomics.load(this.cells, cell.connections) / most
  }
}

function newState(): SharedArrayBuffer {
  const size = floors + 2 * scaledTimeouts.length
  const buffer = new SharedArrayBuffer(4 * size)
  new Int32Array(buffer).fill(-1, floors)
  return buffer
}
