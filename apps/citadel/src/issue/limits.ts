import { WeftError } from '@weft/service/errors'

/** A limit on how often something happens for each key: `ratePerSecond` in the long run, `burst` at once. */
export interface RateLimit {
  ratePerSecond: number
  burst: number
}

interface Bucket {
  tokens: number
  at: number
}

/** Keys that are remembered; beyond it the longest unused is forgotten, which can only let it do more. */
const maxKeys = 20_000

/**
 * A token bucket for each key. `take` throws `resource_exhausted` that says when to come again.
 * A forgotten or new key begins with a full bucket.
 */
export class RateLimiter {
  readonly #limit: RateLimit
  readonly #now: () => number
  readonly #buckets = new Map<string, Bucket>()

  constructor(limit: RateLimit, now: () => number = Date.now) {
    this.#limit = limit
    this.#now = now
  }

  take(key: string): void {
    const { ratePerSecond, burst } = this.#limit
    const now = this.#now()
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now }
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * ratePerSecond)
    bucket.at = now
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    const [oldest] = this.#buckets.size > maxKeys ? this.#buckets.keys() : []
    if (oldest !== undefined) this.#buckets.delete(oldest)
    if (bucket.tokens < 1) {
      const waitMs = Math.ceil(((1 - bucket.tokens) / ratePerSecond) * 1000)
      throw new WeftError('resource_exhausted', `${key} asks for certificates too often`, { hint: `try again in ${waitMs} ms` })
    }
    bucket.tokens -= 1
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#buckets.size
  }
}

/** How long the queue keeps the event loop in one turn: a turn costs tens of microseconds, so one a request would be dear. */
const turnMs = 4

/**
 * A bounded queue of work that runs in order, some milliseconds a turn of the event loop: a herd of requests waits here, health
 * checks and streams go on in between. `run` rejects with `resource_exhausted` when the queue is full.
 */
export class WorkQueue {
  readonly #maxWaiting: number
  readonly #waiting: (() => void)[] = []
  #next = 0
  #scheduled = false

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting
  }

  get length(): number {
    return this.#waiting.length - this.#next
  }

  async run<T>(work: () => T): Promise<T> {
    if (this.length >= this.#maxWaiting) {
      throw new WeftError('resource_exhausted', `${this.length} requests are waiting for a certificate already`, {
        hint: 'try again in a second',
      })
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(work())
        } catch (error) {
          reject(error)
        }
      })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled || this.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const end = performance.now() + turnMs
      do {
        const work = this.#waiting[this.#next]
        this.#next += 1
        work?.()
      } while (this.length > 0 && performance.now() < end)
      if (this.length === 0) {
        this.#waiting.length = 0
        this.#next = 0
      }
      this.#schedule()
    })
  }
}
