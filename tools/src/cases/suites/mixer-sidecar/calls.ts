import { bagOf } from '@weft/attributes/bag'
import { encodeReferences } from '@weft/attributes/references'
import { type CheckRequest, CheckResponse } from '@weft/contracts/istio/mixer/v1/check'
import { mixerCounters } from '@weft/proxy/filters/http/mixer/counters'
import { checkedBag, type FailPolicy, MixerClient } from '@weft/proxy/filters/http/mixer/mixer-client'
import type { QuotaCharge } from '@weft/proxy/filters/http/mixer/quota-rules'
import { ReportBatch } from '@weft/proxy/filters/http/mixer/report-batch'
import { replyOf } from '@weft/proxy/filters/http/mixer/verdict'
import { Stats } from '@weft/proxy/observe/stats'
import { TimerWheel } from '@weft/proxy/transport/timer-wheel'
import { WeftError } from '@weft/service/errors'
import { array, type JsonObject, optionalObject, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'

const OPEN: FailPolicy = { isOpen: true, maxRetries: 0, baseRetryWaitMs: 1, maxRetryWaitMs: 1 }
const PREFIX = 'http_mixer_filter.'

/** Plays a case's calls against a Mixer that lives in this function, and compares the filter's counters. */
export async function playCalls(one: JsonObject): Promise<CaseResult[]> {
  const flow = array(one['flow'], 'flow').map((step) => text(step, 'step'))
  const policy = flow.findIndex((step) => /SetNetworPolicy\(.*,\s*false\)/.test(step))
  if (policy >= 0) return [await playFailPolicy()]
  const expected = Object.entries(optionalObject(one['stats'], 'stats')).filter(([name]) => name.startsWith(PREFIX))
  if (expected.length === 0) return []
  const stats = new Stats(null)
  const requests = Number(expected.find(([name]) => name === `${PREFIX}total_check_calls`)?.[1] ?? 0)
  await run(flow, requests, stats)
  return expected.map(([name, value]): CaseResult => {
    const actual = stats.counter(name).value
    return { name, passed: actual === value, expected: value, actual }
  })
}

/**
 * The steps of a test: each `VerifyCheck` and `VerifyQuota` is about a request of its own, a `VerifyReport` waits for what
 * has been collected; requests that no step is about came before.
 */
async function run(flow: readonly string[], requests: number, stats: Stats): Promise<void> {
  const counters = mixerCounters('http_mixer_filter', (name) => stats.counter(name))
  const caches = flow
    .map((step) => /DisableHTTPClientCache\(.*,\s*(true|false),\s*(true|false),\s*(true|false)\)/.exec(step))
    .find(Boolean)
  const charges = flow.flatMap((step): QuotaCharge[] => {
    const quota = /AddHTTPQuota\(.*"([^"]+)",\s*(\d+)\)/.exec(step)
    return quota === null ? [] : [{ name: quota[1] ?? '', amount: Number(quota[2]) }]
  })
  const client = new MixerClient({
    transport: {
      check: async (request) =>
        answer(
          request,
          flow.some((step) => step.includes('SetMixerCheckReferenced')),
        ),
    },
    counters,
    useCheckCache: caches?.[1] !== 'true',
    useQuotaCache: caches?.[2] !== 'true',
    idPrefix: 'case-',
    now: () => performance.now(),
    wait: () => Promise.resolve(),
  })
  const timers = new TimerWheel()
  const batch = new ReportBatch({
    maxRecords: caches?.[3] === 'true' ? 1 : 1000,
    maxWaitMs: 60_000,
    timers,
    counters,
    send: () => Promise.resolve(),
  })
  const send = async () => {
    const bag = bagOf({ 'target.name': 'target-name', 'request.path': '/echo' })
    await client.check(checkedBag(bag), charges, OPEN)
    batch.add(bag)
  }
  const isRequest = (step: string) => /\.Verify(Check|Quota)\(/.test(step)
  const before = requests - flow.filter(isRequest).length
  for (let i = 0; i < before; i++) await send()
  for (const step of flow) {
    if (isRequest(step)) await send()
    else if (step.includes('.VerifyReport(')) batch.flush()
  }
  batch.flush()
  timers.close()
}

/** All is allowed; without references a verdict may not be kept. */
function answer(request: CheckRequest, hasReferences: boolean): CheckResponse {
  return CheckResponse.create({
    precondition: {
      status: { code: 0 },
      validUseCount: 1000,
      validDuration: { seconds: 60, nanos: 0 },
      referencedAttributes: hasReferences
        ? encodeReferences([{ name: 'target.name', key: undefined, condition: 'exact' }])
        : undefined,
    },
    quotas: Object.fromEntries(Object.entries(request.quotas).map(([name, { amount }]) => [name, { grantedAmount: amount }])),
  })
}

/** With Mixer away, requests pass by the default policy and are refused once it is closed. */
async function playFailPolicy(): Promise<CaseResult> {
  const stats = new Stats(null)
  const client = new MixerClient({
    transport: { check: () => Promise.reject(new WeftError('unavailable', 'no Mixer')) },
    counters: mixerCounters('http_mixer_filter', (name) => stats.counter(name)),
    useCheckCache: true,
    useQuotaCache: true,
    idPrefix: 'case-',
    now: () => performance.now(),
    wait: () => Promise.resolve(),
  })
  const statuses: number[] = []
  for (const isOpen of [true, false]) {
    const { verdict } = await client.check(checkedBag(bagOf({})), [], { ...OPEN, isOpen })
    statuses.push(replyOf(verdict)?.status ?? 200)
  }
  const expected = [200, 503]
  return {
    name: 'statuses by fail policy',
    passed: JSON.stringify(statuses) === JSON.stringify(expected),
    expected,
    actual: statuses,
  }
}
