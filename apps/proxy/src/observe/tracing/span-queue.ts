import type { Counter } from '../stats.ts'
import type { Span } from './span.ts'

/** Spans that wait for a collector that does not answer; more are dropped. */
const maxWaiting = 4096

export interface SpanQueueOptions {
  /** Milliseconds; asked for each time. */
  flushMs: () => number
  /** This many leave at once. */
  minSpans: () => number
  send(spans: readonly Span[]): Promise<void>
  counters: { sent: Counter; dropped: Counter; timer: Counter }
}

/** Spans on their way to a collector: they leave when enough are there, or after a while. */
export class SpanQueue {
  private readonly options: SpanQueueOptions
  private spans: Span[] = []
  private sending = 0
  private readonly stop: () => void

  constructor(options: SpanQueueOptions) {
    this.options = options
    const tick = (): void => {
      this.timerTick()
      timer = setTimeout(tick, options.flushMs())
      timer.unref()
    }
    let timer = setTimeout(tick, options.flushMs())
    timer.unref()
    this.stop = () => clearTimeout(timer)
  }

  add(span: Span): void {
    if (this.spans.length + this.sending >= maxWaiting) {
      this.options.counters.dropped.inc()
      return
    }
    this.spans.push(span)
    if (this.spans.length >= this.options.minSpans()) this.flush()
  }

  private timerTick(): void {
    this.options.counters.timer.inc()
    this.flush()
  }

  private flush(): void {
    if (this.spans.length === 0) return
    const { spans } = this
    this.spans = []
    this.sending += spans.length
    this.options.counters.sent.add(spans.length)
    void this.options.send(spans).finally(() => {
      this.sending -= spans.length
    })
  }

  close(): void {
    this.stop()
    this.flush()
  }
}
