import type { MutableBag } from '@weft/attributes/bag'
import { ReportEncoder } from '@weft/attributes/report-encoder'
import { ReportRequest_RepeatedAttributesSemantics as Semantics } from '@weft/contracts/istio/mixer/v1/report'
import { Timeout, type TimerWheel } from '../../../transport/timer-wheel.ts'
import type { MixerCounters } from './counters.ts'

export interface ReportBatchOptions {
  maxRecords: number
  maxWaitMs: number
  timers: TimerWheel
  counters: MixerCounters
  /** Sends a ReportRequest's bytes, which stay valid. */
  send(report: Uint8Array): Promise<void>
}

/**
 * Shapes kept apart. A delta cannot take an attribute away, so records with different sets of attributes (with and without
 * a user agent, say) go into reports of their own; where there are more shapes than this, the rest goes in full.
 */
const MAX_SHAPES = 8
/** Bytes of one batch; more are sent at once, so that long headers cannot make a message too big. */
const MAX_BYTES = 1 << 20
/** Reports under way; records that come while so many wait for an answer are thrown away. */
const MAX_IN_FLIGHT = 16

/** Collects records and sends them together. */
export class ReportBatch {
  readonly #options: ReportBatchOptions
  readonly #timeout: Timeout
  #deltas: ReportEncoder[] = []
  #whole: ReportEncoder | undefined
  #records = 0
  #inFlight = 0

  constructor(options: ReportBatchOptions) {
    this.#options = options
    this.#timeout = new Timeout(() => this.flush())
  }

  /** Takes a record; the bag must not change afterwards. */
  add(bag: MutableBag): void {
    const { counters, maxRecords, maxWaitMs, timers } = this.#options
    counters.reportCalls.inc()
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      counters.reportDrops.inc()
      return
    }
    const encoder = this.#encoderFor(bag)
    if (!encoder.add(bag)) {
      counters.reportDrops.inc()
      return
    }
    this.#records++
    if (this.#records >= maxRecords || encoder.size >= MAX_BYTES) this.flush()
    else if (this.#records === 1) timers.arm(this.#timeout, maxWaitMs)
  }

  /** Sends what there is. */
  flush(): void {
    this.#options.timers.cancel(this.#timeout)
    const encoders = this.#whole === undefined ? this.#deltas : [...this.#deltas, this.#whole]
    this.#deltas = []
    this.#whole = undefined
    this.#records = 0
    for (const encoder of encoders) if (encoder.records > 0) this.#send(encoder)
  }

  #encoderFor(bag: MutableBag): ReportEncoder {
    for (const encoder of this.#deltas) if (encoder.fits(bag)) return encoder
    if (this.#deltas.length < MAX_SHAPES) {
      const encoder = new ReportEncoder(Semantics.DELTA_ENCODING)
      this.#deltas.push(encoder)
      return encoder
    }
    this.#whole ??= new ReportEncoder(Semantics.INDEPENDENT_ENCODING)
    return this.#whole
  }

  #send(encoder: ReportEncoder): void {
    const { counters, send } = this.#options
    counters.remoteReportCalls.inc()
    this.#inFlight++
    send(encoder.finish())
      .then(
        () => counters.remoteReportSuccesses.inc(),
        () => counters.remoteReportErrors.inc(),
      )
      .finally(() => {
        this.#inFlight--
      })
  }
}
