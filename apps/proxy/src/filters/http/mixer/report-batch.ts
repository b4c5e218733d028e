import type { MutableBag } from '@weft/attributes/bag'
import { DeltaEncoder } from '@weft/attributes/encoding'
import type { CompressedAttributes } from '@weft/contracts/istio/mixer/v1/attributes'
import { type ReportRequest, ReportRequest_RepeatedAttributesSemantics as Semantics } from '@weft/contracts/istio/mixer/v1/report'
import { Timeout, type TimerWheel } from '../../../transport/timer-wheel.ts'
import type { MixerCounters } from './counters.ts'

export interface ReportBatchOptions {
  maxRecords: number
  maxWaitMs: number
  timers: TimerWheel
  counters: MixerCounters
  send(request: ReportRequest): Promise<void>
}

/** Records that go in one request: deltas of one another, or each on its own. */
interface Chain {
  readonly semantics: ReportRequest['repeatedAttributesSemantics']
  readonly encoder: DeltaEncoder
  readonly records: CompressedAttributes[]
}

/**
 * Shapes kept apart. A delta cannot take an attribute away, so records with different sets of attributes (with and without
 * a user agent, say) go into chains of their own; where there are more shapes than this, the rest goes unencoded.
 */
const MAX_CHAINS = 8
/** Characters of new words in one batch; more are sent at once, so that long headers cannot make a message too big. */
const MAX_CHARACTERS = 1 << 20
/** Reports under way; records that come while so many wait for an answer are thrown away. */
const MAX_IN_FLIGHT = 16

/** Collects records and sends them together. */
export class ReportBatch {
  readonly #options: ReportBatchOptions
  readonly #timeout: Timeout
  #chains: Chain[] = []
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
    this.#encode(bag)
    this.#records++
    if (this.#records >= maxRecords || this.#characters() >= MAX_CHARACTERS) this.flush()
    else if (this.#records === 1) timers.arm(this.#timeout, maxWaitMs)
  }

  /** Sends what there is. */
  flush(): void {
    this.#options.timers.cancel(this.#timeout)
    const chains = this.#chains
    this.#chains = []
    this.#records = 0
    for (const chain of chains) this.#send(chain)
  }

  #encode(bag: MutableBag): void {
    for (const chain of this.#chains) {
      if (chain.semantics !== Semantics.DELTA_ENCODING || !chain.encoder.hasShapeOf(bag)) continue
      const record = chain.encoder.encode(bag)
      if (record === undefined) continue
      chain.records.push(record)
      return
    }
    const encoder = new DeltaEncoder()
    const record = this.#chains.length < MAX_CHAINS ? encoder.encode(bag) : undefined
    if (record !== undefined) this.#chains.push({ semantics: Semantics.DELTA_ENCODING, encoder, records: [record] })
    else this.#addWhole(bag)
  }

  #addWhole(bag: MutableBag): void {
    let chain = this.#chains.find(({ semantics }) => semantics === Semantics.INDEPENDENT_ENCODING)
    if (chain === undefined) {
      chain = { semantics: Semantics.INDEPENDENT_ENCODING, encoder: new DeltaEncoder(), records: [] }
      this.#chains.push(chain)
    }
    chain.records.push(chain.encoder.encodeWhole(bag))
  }

  #characters(): number {
    let characters = 0
    for (const chain of this.#chains) characters += chain.encoder.characters
    return characters
  }

  #send({ semantics, encoder, records }: Chain): void {
    const { counters, send } = this.#options
    counters.remoteReportCalls.inc()
    this.#inFlight++
    const request = {
      attributes: records,
      defaultWords: encoder.defaultWords,
      globalWordCount: encoder.globalWordCount,
      repeatedAttributesSemantics: semantics,
    }
    send(request)
      .then(
        () => counters.remoteReportSuccesses.inc(),
        () => counters.remoteReportErrors.inc(),
      )
      .finally(() => {
        this.#inFlight--
      })
  }
}
