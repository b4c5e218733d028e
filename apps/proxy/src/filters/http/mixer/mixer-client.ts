import type { Bag, MutableBag } from '@weft/attributes/bag'
import { CheckCache } from '@weft/attributes/check-cache'
import { encodeAttributes } from '@weft/attributes/encoding'
import { GLOBAL_WORDS } from '@weft/attributes/global-words'
import { decodeReferences } from '@weft/attributes/references'
import type { Duration } from '@weft/contracts/google/protobuf/duration'
import type {
  CheckRequest,
  CheckRequest_QuotaParams,
  CheckResponse,
  CheckResponse_PreconditionResult,
} from '@weft/contracts/istio/mixer/v1/check'
import { WeftError } from '@weft/service/errors'
import { Circuit } from './circuit.ts'
import type { MixerCounters } from './counters.ts'
import { QuotaCache } from './quota-cache.ts'
import type { QuotaCharge } from './quota-rules.ts'
import type { CheckFacts } from './response-attributes.ts'
import { PASS, type Verdict } from './verdict.ts'

/** What to do when Mixer gives no answer. */
export interface FailPolicy {
  readonly isOpen: boolean
  readonly maxRetries: number
  readonly baseRetryWaitMs: number
  readonly maxRetryWaitMs: number
}

/** How checks reach Mixer. */
export interface CheckTransport {
  check(request: CheckRequest, deadlineMs: number, signal: AbortSignal | undefined): Promise<CheckResponse>
}

export interface MixerClientOptions {
  readonly transport: CheckTransport
  readonly counters: MixerCounters
  readonly useCheckCache: boolean
  readonly useQuotaCache: boolean
  /** Begins every deduplication id of this client; unique in the mesh. */
  readonly idPrefix: string
  /** Milliseconds of a clock that only grows. */
  now(): number
  /** A delay before a retry; told so that tests need not wait. */
  wait(ms: number): Promise<void>
}

/** A request's attributes, with a way to take them all down before a call. */
export interface CheckedBag extends Bag {
  snapshot(): MutableBag
}

/** A bag that is complete and will not change, as one to be checked. */
export function checkedBag(bag: MutableBag): CheckedBag {
  return {
    get: (name) => bag.get(name),
    getEntry: (name, key) => bag.getEntry(name, key),
    names: () => bag.names(),
    snapshot: () => bag,
  }
}

const CACHED_VERDICTS = 10_000
/** Checks of one client under way; requests beyond take the fail policy. */
const MAX_IN_FLIGHT = 256
/** All of a check's attempts together. */
const DEADLINE_MS = 1000
/** Mixer may allow more; a policy change should not take longer than this to be seen. */
const MAX_VALID_MS = 24 * 3600 * 1000

/** A verdict with what `check` answers when it comes from the cache, made once. */
interface Kept {
  readonly verdict: Verdict
  readonly hit: CheckFacts
}

/**
 * Asks Mixer whether requests may pass, or knows from before. Verdicts are kept for requests alike in the attributes that
 * they depended on, quota is fetched ahead, and when Mixer is away the fail policy decides.
 */
export class MixerClient {
  readonly #options: MixerClientOptions
  readonly #verdicts: CheckCache<Kept> | null
  readonly #quotas: QuotaCache | null
  readonly #circuit = new Circuit()
  #inFlight = 0
  #nextId = 0

  constructor(options: MixerClientOptions) {
    this.#options = options
    this.#verdicts = options.useCheckCache ? new CheckCache({ capacity: CACHED_VERDICTS }) : null
    this.#quotas = options.useQuotaCache ? new QuotaCache() : null
  }

  /**
   * The verdict on a request: at once when it is known, else when Mixer has answered. Never rejects. `signal` is asked for
   * only when a call is made.
   */
  check(
    bag: CheckedBag,
    charges: readonly QuotaCharge[],
    policy: FailPolicy,
    signal?: () => AbortSignal,
  ): CheckFacts | Promise<CheckFacts> {
    const { counters, now } = this.#options
    counters.checkCalls.inc()
    const nowMs = now()
    const kept = this.#verdicts?.get(bag, nowMs)
    if (kept === undefined) counters.checkCacheMisses.inc()
    else {
      counters.checkCacheHits.inc()
      if (charges.length === 0 || kept.verdict.code !== 0) return kept.hit
    }
    if (charges.length === 0) return this.#checkRemotely(bag, [], [], kept, policy, signal)
    return this.#checkWithQuota(bag, charges, kept, policy, signal)
  }

  /** Forgets all verdicts and quota: Mixer's configuration has changed. */
  forget(): void {
    this.#options.counters.cacheFlushes.inc()
    this.#verdicts?.clear()
    this.#quotas?.clear()
  }

  #checkWithQuota(
    bag: CheckedBag,
    charges: readonly QuotaCharge[],
    kept: Kept | undefined,
    policy: FailPolicy,
    signal: (() => AbortSignal) | undefined,
  ): CheckFacts | Promise<CheckFacts> {
    const { counters, now } = this.#options
    const nowMs = now()
    counters.quotaCalls.inc()
    const taken: QuotaCharge[] = []
    const asks: QuotaAsk[] = []
    const prefetches: QuotaAsk[] = []
    for (const { name, amount } of charges) {
      const answer = this.#quotas?.take(name, amount, bag, nowMs) ?? { type: 'unknown', ask: amount }
      if (answer.type === 'denied') {
        for (const charge of taken) this.#quotas?.giveBack(charge.name, charge.amount, bag, nowMs)
        counters.quotaCacheHits.inc()
        return { verdict: exhausted(name), isCheckCached: kept !== undefined, isQuotaCached: true }
      }
      if (answer.type === 'unknown') asks.push({ name, charge: amount, amount: answer.ask })
      else {
        taken.push({ name, amount })
        if (answer.prefetch > 0) prefetches.push({ name, charge: 0, amount: answer.prefetch })
      }
    }
    if (prefetches.length > 0) void this.#prefetch(bag.snapshot(), prefetches)
    if (asks.length === 0) {
      counters.quotaCacheHits.inc()
      if (kept !== undefined) return { verdict: kept.verdict, isCheckCached: true, isQuotaCached: true }
    } else counters.quotaCacheMisses.inc()
    return this.#checkRemotely(bag, asks, taken, kept, policy, signal)
  }

  async #checkRemotely(
    bag: CheckedBag,
    asks: readonly QuotaAsk[],
    taken: readonly QuotaCharge[],
    kept: Kept | undefined,
    policy: FailPolicy,
    signal: (() => AbortSignal) | undefined,
  ): Promise<CheckFacts> {
    const { counters, now } = this.#options
    const outcome = (verdict: Verdict): CheckFacts => ({
      verdict,
      isCheckCached: kept !== undefined,
      isQuotaCached: taken.length > 0 && asks.length === 0,
    })
    const refusal = this.#refusal()
    if (refusal !== undefined) return outcome(this.#withoutAnswer(refusal, policy))
    counters.remoteCheckCalls.inc()
    counters.blockingRemoteCheckCalls.inc()
    if (asks.length > 0) {
      counters.remoteQuotaCalls.inc()
      counters.blockingRemoteQuotaCalls.inc()
    }
    const snapshot = bag.snapshot()
    let response: CheckResponse
    try {
      response = await this.#call(this.#request(snapshot, asks), policy, signal?.())
    } catch (thrown) {
      return outcome(this.#withoutAnswer(thrown, policy))
    }
    const verdict = this.#keep(snapshot, response.precondition, kept)
    if (verdict.code !== 0) {
      counters.remoteCheckDenies.inc()
      for (const { name, amount } of taken) this.#quotas?.giveBack(name, amount, snapshot, now())
      return outcome(verdict)
    }
    counters.remoteCheckAccepts.inc()
    const missing = this.#takeGrants(snapshot, asks, response)
    return outcome(missing === undefined ? verdict : exhausted(missing))
  }

  /** Fetches quota that no request waits for. */
  async #prefetch(bag: MutableBag, asks: readonly QuotaAsk[]): Promise<void> {
    const { counters, now } = this.#options
    try {
      const refusal = this.#refusal()
      if (refusal !== undefined) throw refusal
      counters.remoteQuotaCalls.inc()
      counters.remoteQuotaPrefetchCalls.inc()
      const response = await this.#call(this.#request(bag, asks), NO_RETRY, undefined)
      this.#keep(bag, response.precondition, undefined)
      this.#takeGrants(bag, asks, response)
    } catch {
      // Counted by #call; the next charge that finds nothing asks for itself.
      for (const { name } of asks) this.#quotas?.fetchFailed(name, bag, now())
    }
  }

  #request(bag: MutableBag, asks: readonly QuotaAsk[]): CheckRequest {
    const quotas: Record<string, CheckRequest_QuotaParams> = {}
    for (const { name, charge, amount } of asks) quotas[name] = { amount, bestEffort: amount > charge }
    return {
      attributes: encodeAttributes(bag),
      globalWordCount: GLOBAL_WORDS.length,
      deduplicationId: `${this.#options.idPrefix}${this.#nextId++}`,
      quotas,
    }
  }

  /** Why no call can be made now: asked before a request is put together, which costs most. Leave has to be used. */
  #refusal(): WeftError | undefined {
    const { counters, now } = this.#options
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      counters.remoteCallOverflow.inc()
      return new WeftError('resource_exhausted', 'too many checks are under way')
    }
    if (this.#circuit.enter(now())) return undefined
    counters.remoteCallCircuitOpen.inc()
    return new WeftError('unavailable', 'Mixer did not answer lately')
  }

  /** The call, after {@link #refusal} gave leave, with deadline and retries. */
  async #call(request: CheckRequest, policy: FailPolicy, signal: AbortSignal | undefined): Promise<CheckResponse> {
    const { counters, now, transport, wait } = this.#options
    this.#inFlight++
    const deadlineMs = now() + DEADLINE_MS
    try {
      for (let attempt = 0; ; attempt++) {
        try {
          counters.remoteCalls.inc()
          const response = await transport.check(request, Math.max(1, deadlineMs - now()), signal)
          this.#circuit.succeeded()
          counters.remoteCallSuccesses.inc()
          return response
        } catch (thrown) {
          const error = WeftError.from(thrown)
          this.#noteFailure(error)
          const waitMs = Math.min(policy.maxRetryWaitMs, policy.baseRetryWaitMs * 2 ** attempt)
          const isFinal = error.code !== 'unavailable' || attempt >= policy.maxRetries || now() + waitMs >= deadlineMs
          if (isFinal) throw error
          await wait(waitMs)
          if (!this.#circuit.enter(now())) throw error
          counters.remoteCallRetries.inc()
        }
      }
    } finally {
      this.#inFlight--
    }
  }

  #noteFailure(error: WeftError): void {
    const { counters, now } = this.#options
    if (error.code === 'cancelled') {
      counters.remoteCallCancellations.inc()
      this.#circuit.abandoned()
      return
    }
    if (error.code === 'deadline_exceeded') counters.remoteCallTimeouts.inc()
    else counters.remoteCallOtherErrors.inc()
    this.#circuit.failed(now())
  }

  #withoutAnswer(thrown: unknown, policy: FailPolicy): Verdict {
    const { counters } = this.#options
    if (policy.isOpen) {
      counters.failOpen.inc()
      return PASS
    }
    counters.failClose.inc()
    return { code: 14, message: `Mixer gave no answer: ${WeftError.from(thrown).message}`, directive: undefined }
  }

  /** Keeps a verdict for as long and as often as Mixer allows, if it is known what it depended on. */
  #keep(bag: MutableBag, result: CheckResponse_PreconditionResult | undefined, kept: Kept | undefined): Verdict {
    if (result === undefined) return kept?.verdict ?? PASS
    const verdict: Verdict = {
      code: result.status?.code ?? 0,
      message: result.status?.message ?? '',
      directive: result.routeDirective,
    }
    const { references, complete } = decodeReferences(result.referencedAttributes)
    if (!complete || this.#verdicts === null) return verdict
    const nowMs = this.#options.now()
    const uses = result.validUseCount < 0 ? Number.POSITIVE_INFINITY : result.validUseCount
    const hit: CheckFacts = { verdict, isCheckCached: true, isQuotaCached: false }
    this.#verdicts.set(bag, references, { verdict, hit }, nowMs + Math.min(MAX_VALID_MS, toMs(result.validDuration)), uses, nowMs)
    return verdict
  }

  /** Notes what was granted; gives the first quota of which there was not enough. */
  #takeGrants(bag: MutableBag, asks: readonly QuotaAsk[], response: CheckResponse): string | undefined {
    const { counters, now } = this.#options
    let missing: string | undefined
    for (const { name, charge, amount } of asks) {
      const result = response.quotas[name]
      if (result === undefined) continue
      const passed = result.grantedAmount >= charge
      if (!passed) missing ??= name
      if (charge > 0) (passed ? counters.remoteQuotaAccepts : counters.remoteQuotaDenies).inc()
      const { references, complete } = decodeReferences(result.referencedAttributes)
      const grant = {
        amount: result.grantedAmount,
        wanted: amount,
        used: passed ? charge : 0,
        validMs: toMs(result.validDuration),
      }
      this.#quotas?.granted(name, bag, complete ? references : undefined, grant, now())
    }
    return missing
  }
}

interface QuotaAsk {
  readonly name: string
  /** What the request in hand needs; 0 for a fetch ahead. */
  readonly charge: number
  readonly amount: number
}

const NO_RETRY: FailPolicy = { isOpen: true, maxRetries: 0, baseRetryWaitMs: 0, maxRetryWaitMs: 0 }

function exhausted(quota: string): Verdict {
  return { code: 8, message: `Quota is exhausted for: ${quota}`, directive: undefined }
}

function toMs(duration: Duration | undefined): number {
  return duration === undefined ? 0 : duration.seconds * 1000 + duration.nanos / 1_000_000
}
