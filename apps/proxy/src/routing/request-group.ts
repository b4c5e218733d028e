import type { Counter, Histogram, Stats } from '../observe/stats.ts'
import { statusNames } from '../observe/status-names.ts'

/** What is counted for requests that belong together (a virtual cluster's, a route's): `PREFIXupstream_rq_…`. */
export class RequestGroup {
  private readonly prefix: string
  private stats: Stats | null = null
  private readonly counters = new Map<string, Counter>()
  private time: Histogram | null = null

  /** `prefix` ends in a dot. */
  constructor(prefix: string) {
    this.prefix = `${prefix}upstream_rq_`
  }

  /** Its counters are there, at zero, from the first request on. */
  use(stats: Stats): void {
    if (this.stats === stats) return
    this.stats = stats
    this.counters.clear()
    this.time = null
    for (const name of always) this.counters.set(name, stats.counter(this.prefix + name))
  }

  /** Counts under `upstream_rq_NAME`. */
  inc(name: string): void {
    let counter = this.counters.get(name)
    if (counter === undefined && this.stats !== null) {
      counter = this.stats.counter(this.prefix + name)
      this.counters.set(name, counter)
    }
    counter?.inc()
  }

  response(status: number): void {
    for (const name of statusNames(status)) this.inc(name)
  }

  /** A request took so long, in milliseconds. */
  took(ms: number): void {
    this.time ??= this.stats?.histogram(`${this.prefix}time`) ?? null
    this.time?.record(ms)
  }
}

const always = ['total', 'retry', 'retry_success', 'retry_overflow', 'retry_limit_exceeded', 'timeout']
