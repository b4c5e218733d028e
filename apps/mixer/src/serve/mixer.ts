import type { Metadata } from '@grpc/grpc-js'
import { type Bag, MutableBag } from '@weft/attributes/bag'
import { applyAttributeBytes } from '@weft/attributes/binary-decoding'
import { encodeReferences, TrackedBag } from '@weft/attributes/references'
import { globalWordsOfSender } from '@weft/attributes/words'
import {
  type CheckResponse,
  type CheckResponse_QuotaResult,
  HeaderOperation_Operation,
  type RouteDirective,
} from '@weft/contracts/istio/mixer/v1/check'
import { WeftError } from '@weft/service/errors'
import type { QuotaGrant } from '../adapter.ts'
import { type CheckOutcome, check, type HeaderEdit } from '../dispatch/check.ts'
import { completeAttributes } from '../dispatch/complete-attributes.ts'
import type { DispatchMetrics } from '../dispatch/metrics.ts'
import type { Plan } from '../dispatch/plan.ts'
import { allocate, type QuotaRequest } from '../dispatch/quota.ts'
import { report } from '../dispatch/report.ts'
import { revisionMetadata } from './policy-revision.ts'
import type { CheckBytes, ReportBytes } from './request-bytes.ts'

/** Quotas that one request may ask for. */
const MAX_QUOTAS = 100
/** Records that one report may carry; sidecars send a thousand. */
const MAX_RECORDS = 10_000

export interface MixerOptions {
  /** The plan in force; asked for once a request. */
  plan: () => Plan
  metrics: DispatchMetrics
  /** Checks and reports that may be under way at a time; more are refused. */
  maxInFlight?: number
}

/** Mixer's calls, whatever carries them. Each throws WeftError for a request that it cannot answer. */
export interface Mixer {
  /** A check of attributes that came by another protocol than Mixer's own. */
  decide(attributes: Bag, deadlineMs: number): Promise<CheckOutcome>
  /** A quota for such attributes. */
  allocate(attributes: Bag, request: QuotaRequest, deadlineMs: number): Promise<QuotaGrant>
  /** One record of such attributes. */
  record(attributes: Bag, deadlineMs: number): Promise<void>
  check(request: CheckBytes, deadlineMs: number): Promise<CheckResponse>
  report(request: ReportBytes, deadlineMs: number): Promise<void>
  /** Metadata for answers made now: the revision of the configuration. */
  revision(): Metadata
}

/** Answers istio.mixer.v1 Check and Report by the plan. */
export function createMixer({ plan, metrics, maxInFlight = 10_000 }: MixerOptions): Mixer {
  let inFlight = 0
  const bounded = async <Answer>(run: () => Promise<Answer>): Promise<Answer> => {
    if (inFlight >= maxInFlight) throw new WeftError('resource_exhausted', `${maxInFlight} requests are under way already`)
    inFlight++
    try {
      return await run()
    } finally {
      inFlight--
    }
  }
  return {
    decide: (attributes, deadlineMs) =>
      bounded(async () => {
        const startMs = performance.now()
        const current = plan()
        const outcome = await check(
          current,
          await completeAttributes(current, attributes, deadlineMs, metrics),
          deadlineMs,
          metrics,
        )
        metrics.checked(outcome.code, performance.now() - startMs)
        return outcome
      }),
    allocate: (attributes, request, deadlineMs) =>
      bounded(async () => {
        const current = plan()
        return allocate(current, await completeAttributes(current, attributes, deadlineMs, metrics), request, deadlineMs, metrics)
      }),
    record: (attributes, deadlineMs) =>
      bounded(async () => {
        const startMs = performance.now()
        const current = plan()
        await Promise.all(
          report(current, await completeAttributes(current, attributes, deadlineMs, metrics), deadlineMs, metrics),
        )
        metrics.reported(1, performance.now() - startMs)
      }),
    check: (request, deadlineMs) => bounded(() => answerCheck(plan(), request, deadlineMs, metrics)),
    report: (request, deadlineMs) => bounded(() => takeReport(plan(), request, deadlineMs, metrics)),
    revision: () => revisionMetadata(plan()),
  }
}

async function answerCheck(
  plan: Plan,
  request: CheckBytes,
  deadlineMs: number,
  metrics: DispatchMetrics,
): Promise<CheckResponse> {
  const startMs = performance.now()
  const globalWords = globalWordsOfSender(request.globalWordCount)
  const { quotas } = request
  if (quotas.length > MAX_QUOTAS) throw new WeftError('invalid_argument', `more than ${MAX_QUOTAS} quotas are asked for`)
  const attributes = new MutableBag()
  applyAttributeBytes(attributes, request.attributes, globalWords)
  const tracked = new TrackedBag(attributes)
  const completing = completeAttributes(plan, tracked, deadlineMs, metrics)
  const bag: Bag = completing instanceof Promise ? await completing : completing
  const fromGenerators = tracked.references()

  const answer = check(plan, bag, deadlineMs, metrics)
  const outcome = answer instanceof Promise ? await answer : answer
  const referencedAttributes = encodeReferences(tracked.references(), globalWords)
  metrics.checked(outcome.code, performance.now() - startMs)

  const results: Record<string, CheckResponse_QuotaResult> = Object.create(null)
  if (outcome.code === 0) {
    for (const { name, amount, bestEffort } of quotas) {
      // What a quota depends on is told apart from what the check depended on: sidecars keep both apart.
      tracked.clear()
      tracked.add(fromGenerators)
      const left = Math.max(1, deadlineMs - (performance.now() - startMs))
      const grant = await allocate(plan, bag, { name, amount, bestEffort, dedupId: request.deduplicationId }, left, metrics)
      results[name] = {
        grantedAmount: grant.amount,
        validDuration: durationOf(grant.validDurationMs),
        referencedAttributes: encodeReferences(tracked.references(), globalWords),
      }
    }
  }
  return {
    precondition: {
      status: { code: outcome.code, message: outcome.message, details: [] },
      validDuration: durationOf(outcome.validDurationMs),
      validUseCount: outcome.validUseCount,
      referencedAttributes,
      routeDirective: routeDirectiveOf(outcome),
    },
    quotas: results,
  }
}

async function takeReport(plan: Plan, request: ReportBytes, deadlineMs: number, metrics: DispatchMetrics): Promise<void> {
  const startMs = performance.now()
  const globalWords = globalWordsOfSender(request.globalWordCount)
  const { records, defaultWords, delta } = request
  if (records.length > MAX_RECORDS) throw new WeftError('invalid_argument', `more than ${MAX_RECORDS} records in one report`)
  const later: Promise<unknown>[] = []
  let bag = new MutableBag()
  for (const record of records) {
    if (!delta) bag = new MutableBag()
    applyAttributeBytes(bag, record, globalWords, defaultWords)
    const completing = completeAttributes(plan, bag, deadlineMs, metrics)
    later.push(...report(plan, completing instanceof Promise ? await completing : completing, deadlineMs, metrics))
  }
  if (later.length > 0) await Promise.all(later)
  metrics.reported(records.length, performance.now() - startMs)
}

function durationOf(ms: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(ms / 1000)
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1_000_000) }
}

function routeDirectiveOf({ code, requestHeaders, responseHeaders, directResponse }: CheckOutcome): RouteDirective | undefined {
  const direct = code === 0 ? undefined : directResponse
  if (requestHeaders.length === 0 && responseHeaders.length === 0 && direct === undefined) return undefined
  return {
    requestHeaderOperations: requestHeaders.map(operationOf),
    responseHeaderOperations: responseHeaders.map(operationOf),
    directResponseCode: direct?.code ?? 0,
    directResponseBody: direct?.body ?? '',
  }
}

function operationOf({ name, value, operation }: HeaderEdit) {
  return { name, value, operation: HeaderOperation_Operation[operation] }
}
