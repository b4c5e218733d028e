import { createHash } from 'node:crypto'

/** How a bucket fills. */
export interface BucketRate {
  readonly maxTokens: number
  /** Tokens a nanosecond. */
  readonly perNanosecond: number
}

/** A token bucket; `now` is `process.hrtime.bigint()`, which all threads share. */
export interface TokenBucket {
  readonly rate: BucketRate
  /** Takes so many tokens, one unless told; false: there are not enough (for none at all, as with Envoy, too). */
  consume(now?: bigint, tokens?: number): boolean
  /** Whole tokens left. */
  remaining(now?: bigint): number
  /** Nanoseconds until there is a token more than now, or (none left) a first one. */
  untilNext(now?: bigint): number
  /** The owner is gone. */
  release(): void
}

/** A number that all threads count together. */
export interface SharedCount {
  /** Adds one when there are less than `limit`; false: there are not. */
  enter(limit: number): boolean
  /** One of those that entered here left. */
  leave(): void
  /** The owner is gone; those that entered may still leave. */
  release(): void
}

/** Cells of a slot: key, owners, and the time from which tokens count (0: not begun). */
const slotCells = 3
const maxProbes = 64

/**
 * Token buckets in shared memory: what several workers limit together is one bucket, found by what identifies it. A bucket
 * is one number, the time at which it was (or would have been) empty, so that taking a token is one compare-and-exchange.
 */
export class TokenBuckets {
  readonly buffer: SharedArrayBuffer
  private readonly cells: BigInt64Array
  private readonly lock: Int32Array
  private readonly capacity: number

  /** A view of `source`, or new memory for that many buckets. */
  constructor(source: SharedArrayBuffer | number) {
    this.buffer = typeof source === 'number' ? new SharedArrayBuffer((source * slotCells + 1) * 8) : source
    this.cells = new BigInt64Array(this.buffer)
    this.lock = new Int32Array(this.buffer)
    this.capacity = Math.floor((this.cells.length - 1) / slotCells)
  }

  /**
   * The bucket that `identity` names, shared by all who ask for it; made full. When there is no room left, a bucket of
   * this thread's own.
   */
  open(identity: string, rate: BucketRate): TokenBucket {
    const key = createHash('sha256').update(identity).digest().readBigInt64LE() | 1n
    const at = this.locked(() => this.find(key))
    if (at < 0) return new SharedTokenBucket(new BigInt64Array(1), 0, rate, () => {})
    return new SharedTokenBucket(this.cells, at + 2, rate, () => this.locked(() => this.drop(at)))
  }

  /** The count that `identity` names, shared by all who ask for it; it begins at 0. Without room left: of this thread's own. */
  openCount(identity: string): SharedCount {
    const key = createHash('sha256').update(identity).digest().readBigInt64LE() | 1n
    const at = this.locked(() => this.find(key))
    const cells = at < 0 ? new BigInt64Array(1) : this.cells
    const cell = at < 0 ? 0 : at + 2
    let inside = 0
    let released = false
    const settle = () => {
      if (released && inside === 0 && at >= 0) this.locked(() => this.drop(at))
    }
    return {
      enter(limit) {
        if (Atomics.add(cells, cell, 1n) < BigInt(limit)) {
          inside++
          return true
        }
        Atomics.sub(cells, cell, 1n)
        return false
      },
      leave() {
        Atomics.sub(cells, cell, 1n)
        inside--
        settle()
      },
      release() {
        if (released) return
        released = true
        settle()
      },
    }
  }

  /** One owner less; the last one frees the slot. */
  private drop(at: number): void {
    if (Atomics.sub(this.cells, at + 1, 1n) > 1n) return
    this.cells[at + 2] = 0n
    this.cells[at] = 0n
  }

  private find(key: bigint): number {
    const { cells, capacity } = this
    const start = Number(BigInt.asUintN(32, key)) % capacity
    let free = -1
    for (let i = 0; i < Math.min(maxProbes, capacity); i++) {
      const at = 1 + ((start + i) % capacity) * slotCells
      if (cells[at] === key) {
        Atomics.add(cells, at + 1, 1n)
        return at
      }
      if (free < 0 && cells[at] === 0n) free = at
    }
    if (free < 0) return -1
    cells[free] = key
    cells[free + 1] = 1n
    cells[free + 2] = 0n
    return free
  }

  /** Buckets are made and dropped under a lock; a thread that died holding it doesn't hold up the others for long. */
  private locked<Result>(work: () => Result): Result {
    for (let tries = 0; tries < 50 && Atomics.compareExchange(this.lock, 0, 0, 1) !== 0; tries++)
      Atomics.wait(this.lock, 0, 1, 10)
    try {
      return work()
    } finally {
      Atomics.store(this.lock, 0, 0)
      Atomics.notify(this.lock, 0)
    }
  }
}

class SharedTokenBucket implements TokenBucket {
  readonly rate: BucketRate
  private readonly cells: BigInt64Array
  private readonly at: number
  private readonly onRelease: () => void
  private released = false

  constructor(cells: BigInt64Array, at: number, rate: BucketRate, onRelease: () => void) {
    this.cells = cells
    this.at = at
    this.rate = rate
    this.onRelease = onRelease
  }

  consume(now = process.hrtime.bigint(), wanted = 1): boolean {
    if (wanted === 0) return false
    for (;;) {
      const stored = Atomics.load(this.cells, this.at)
      const { maxTokens, perNanosecond } = this.rate
      const tokens = this.tokensSince(stored, now)
      if (tokens < wanted) return false
      const full = tokens >= maxTokens
      const from = full ? now - BigInt(Math.round(maxTokens / perNanosecond)) : stored
      const next = from + BigInt(Math.round(wanted / perNanosecond))
      if (Atomics.compareExchange(this.cells, this.at, stored, next) === stored) return true
    }
  }

  remaining(now = process.hrtime.bigint()): number {
    return Math.floor(this.tokensSince(Atomics.load(this.cells, this.at), now))
  }

  untilNext(now = process.hrtime.bigint()): number {
    const tokens = this.tokensSince(Atomics.load(this.cells, this.at), now)
    return tokens >= 1 ? 0 : (1 - tokens) / this.rate.perNanosecond
  }

  release(): void {
    if (this.released) return
    this.released = true
    this.onRelease()
  }

  /** A bucket that has not begun is full. Rounding of times is not held against a token. */
  private tokensSince(stored: bigint, now: bigint): number {
    const { maxTokens, perNanosecond } = this.rate
    if (stored === 0n) return maxTokens
    return Math.min(maxTokens, Number(now - stored) * perNanosecond + 1e-6)
  }
}
