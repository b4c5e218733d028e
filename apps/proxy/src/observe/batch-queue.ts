import type { Counter } from './stats.ts'

export interface BatchQueueOptions<T> {
  /** Milliseconds; asked for each time. */
  flushMs: () => number
  /** What is there leaves when its size is this; of the sizes that `sizeOf` gives. */
  fullSize: () => number
  sizeOf(item: T): number
  /** More than this, what is being sent included, is dropped. */
  maxWaiting: number
  /** Sends one batch; rejects when it can't. */
  send(items: readonly T[]): Promise<void>
  counters: { sent: Counter; dropped: Counter; timer: Counter | null }
}

/** Things on their way to a collector: they leave when enough are there, or after a while. */
export class BatchQueue<T> {
  private readonly options: BatchQueueOptions<T>
  private items: T[] = []
  private size = 0
  private sending = 0
  /** Armed while something waits. */
  private timer: NodeJS.Timeout | null = null

  constructor(options: BatchQueueOptions<T>) {
    this.options = options
  }

  add(item: T): void {
    const { sizeOf, maxWaiting, fullSize, counters } = this.options
    const size = sizeOf(item)
    if (this.size + this.sending + size > maxWaiting) {
      counters.dropped.inc()
      return
    }
    this.items.push(item)
    this.size += size
    if (this.size >= fullSize()) this.flush()
    else this.arm()
  }

  private arm(): void {
    if (this.timer !== null) return
    this.timer = setTimeout(() => {
      this.timer = null
      this.options.counters.timer?.inc()
      this.flush()
    }, this.options.flushMs())
    this.timer.unref()
  }

  private flush(): void {
    const { items, size } = this
    if (items.length === 0) return
    this.items = []
    this.size = 0
    this.sending += size
    this.options.counters.sent.add(items.length)
    void this.options.send(items).finally(() => {
      this.sending -= size
    })
  }

  /** Sends what is left. */
  close(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.flush()
  }
}
