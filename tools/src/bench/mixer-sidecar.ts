import { bagOf, MutableBag } from '@weft/attributes/bag'
import { CheckCache } from '@weft/attributes/check-cache'
import { manifestOf } from '@weft/attributes/manifest'
import { encodeReferences, type Reference, TrackedBag } from '@weft/attributes/references'
import { ReportEncoder } from '@weft/attributes/report-encoder'
import { type AttributeValue, isValueType, type ValueType } from '@weft/attributes/types'
import { CheckResponse } from '@weft/contracts/istio/mixer/v1/check'
import { ReportRequest_RepeatedAttributesSemantics as Semantics } from '@weft/contracts/istio/mixer/v1/report'
import { compile } from '@weft/expressions/expression'
import { FakeStream } from '@weft/proxy/filters/http/fake-stream'
import { mixerCounters } from '@weft/proxy/filters/http/mixer/counters'
import { type FailPolicy, MixerClient } from '@weft/proxy/filters/http/mixer/mixer-client'
import { RequestAttributes } from '@weft/proxy/filters/http/mixer/request-attributes'
import { addResponseAttributes } from '@weft/proxy/filters/http/mixer/response-attributes'
import { StreamFacts } from '@weft/proxy/filters/http/mixer/stream-facts'
import { PASS } from '@weft/proxy/filters/http/mixer/verdict'
import { Stats } from '@weft/proxy/observe/stats'
import { type BenchOptions, chosen } from './bench-options.ts'
import { formatTable, median } from './table.ts'

const EXPRESSIONS = [
  'destination.service.host == "reviews.default.svc.cluster.local"',
  'request.headers["x-user"] == "mary" || request.size > 1000',
  'source.workload.name | "unknown"',
  'match(destination.service.host, "*.svc.cluster.local") && request.method == "GET"',
  'request.path.startsWith("/api/v1") && !(source.namespace == "test")',
  'conditional((context.reporter.kind | "inbound") == "outbound", "client", "server")',
  '"^/reviews/[0-9]+$".matches(request.path)',
]

const TYPES: Record<string, string> = {
  'destination.service.host': 'STRING',
  'request.headers': 'STRING_MAP',
  'request.size': 'INT64',
  'source.workload.name': 'STRING',
  'source.namespace': 'STRING',
  'request.method': 'STRING',
  'request.path': 'STRING',
  'context.reporter.kind': 'STRING',
}

const HEADERS = {
  'x-user': 'mary',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)',
  accept: '*/*',
  'x-request-id': '6f8a9c1e-0b7d-4c39-8ad5-0e6f1f7d2c11',
  'x-forwarded-proto': 'http',
  'x-b3-traceid': '463ac35c9f6413ad48485a3953bb6124',
  'x-b3-spanid': 'a2fb4a1d1a96d312',
  'x-b3-sampled': '1',
}

const STATICS = new Map<string, AttributeValue>(
  Object.entries({
    'destination.service.host': 'reviews.default.svc.cluster.local',
    'destination.service.name': 'reviews',
    'destination.service.namespace': 'default',
    'destination.namespace': 'default',
    'destination.uid': 'kubernetes://reviews-v1.default',
    'destination.workload.name': 'reviews-v1',
    'destination.workload.namespace': 'default',
    'context.reporter.kind': 'inbound',
    'context.reporter.uid': 'kubernetes://reviews-v1.default',
  }),
)
const FORWARDED = new Map<string, AttributeValue>(
  Object.entries({
    'source.uid': 'kubernetes://productpage-v1.default',
    'source.workload.name': 'productpage-v1',
    'source.namespace': 'default',
  }),
)
const POLICY: FailPolicy = { isOpen: true, maxRetries: 0, baseRetryWaitMs: 1, maxRetryWaitMs: 1 }

/**
 * What Mixer's parts cost in a sidecar and in an evaluation: compiled expressions (plain and with references noted), a
 * verdict from the cache, and a report record, in nanoseconds each.
 */
export async function benchMixerSidecar({ rounds, seconds, only }: BenchOptions): Promise<void> {
  const work: [name: string, run: () => unknown][] = [...expressionWork(), ...(await sidecarWork())]
  const rows: string[][] = []
  const results: Record<string, number> = {}
  const names = chosen(
    work.map(([name]) => name),
    only,
  )
  for (const [name, run] of work.filter(([name]) => names.includes(name))) {
    const costs: number[] = []
    for (let round = 0; round <= rounds; round++) {
      const cost = costOf(run, (seconds * 1000) / 40)
      if (round > 0) costs.push(cost)
    }
    const ns = median(costs)
    results[name] = Math.round(ns)
    rows.push([name, ns.toFixed(0)])
  }
  console.log(formatTable(['work', 'ns'], rows))
  console.log(JSON.stringify({ bench: 'mixer-sidecar', unit: 'ns', node: process.version, results }))
}

function expressionWork(): [name: string, run: () => unknown][] {
  const types = Object.entries(TYPES).flatMap(([name, type]): [string, ValueType][] => (isValueType(type) ? [[name, type]] : []))
  const manifest = manifestOf(new Map(types))
  const bag = bagOf({
    ...Object.fromEntries(STATICS),
    ...Object.fromEntries(FORWARDED),
    'request.headers': new Map(Object.entries(HEADERS)),
    'request.size': 100n,
    'request.method': 'GET',
    'request.path': '/reviews/42',
  })
  return EXPRESSIONS.flatMap((text): [string, () => unknown][] => {
    const expression = compile(text, manifest)
    const tracked = new TrackedBag(bag)
    return [
      [text, () => expression.resolve(bag)],
      [`${text}, references noted`, () => expression.resolve(tracked)],
    ]
  })
}

async function sidecarWork(): Promise<[name: string, run: () => unknown][]> {
  const stats = new Stats(null)
  const references: Reference[] = [
    { name: 'destination.service.host', key: undefined, condition: 'exact' },
    { name: 'source.workload.name', key: undefined, condition: 'exact' },
    { name: 'request.headers', key: 'x-user', condition: 'exact' },
    { name: 'request.headers', key: 'x-bypass', condition: 'absence' },
  ]
  const client = new MixerClient({
    transport: {
      check: async () =>
        CheckResponse.create({
          precondition: {
            status: { code: 0 },
            validUseCount: -1,
            validDuration: { seconds: 3600, nanos: 0 },
            referencedAttributes: encodeReferences(references),
          },
        }),
    },
    counters: mixerCounters('http_mixer_filter', (name) => stats.counter(name)),
    useCheckCache: true,
    useQuotaCache: true,
    idPrefix: '',
    now: () => performance.now(),
    wait: () => Promise.resolve(),
  })
  const stream = new FakeStream({ path: '/reviews/42', authority: 'reviews:9080', headers: HEADERS })
  const base = new MutableBag(undefined, [...FORWARDED, ...STATICS])
  const attributes = () => new RequestAttributes(new StreamFacts(stream), base)
  await client.check(attributes(), [], POLICY)
  const cache = new CheckCache<number>({ capacity: 10_000 })
  const bag = attributes().snapshot()
  cache.set(bag, references, 1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0)
  return [
    ['check cache: look-up by 4 references', () => cache.get(bag, 1)],
    ['sidecar: verdict from the cache, attributes included', () => client.check(attributes(), [], POLICY)],
    ['sidecar: attributes of a request and its response', () => record(stream, attributes().snapshot())],
    ['sidecar: report record encoded, of 1,000', reportEncoder(stream, attributes)],
  ]
}

function record(stream: FakeStream, bag: MutableBag): MutableBag {
  addResponseAttributes(
    bag,
    {
      status: 200,
      forEachHeader: (visit) => stream.request.headers.forEach(visit),
      requestBodyBytes: 0,
      requestHeaderBytes: 300,
      responseBodyBytes: 500,
      durationMs: 3.25,
      endTimeMs: 1_500_000_000_000,
      upstreamAddress: '127.0.0.2:9080',
      upstreamUid: null,
      grpcStatus: null,
      grpcMessage: null,
    },
    { verdict: PASS, isCheckCached: true, isQuotaCached: false },
  )
  return bag
}

/** Makes one record and adds it to a batch; each thousandth also pays for the batch's bytes. */
function reportEncoder(stream: FakeStream, attributes: () => RequestAttributes): () => unknown {
  let encoder = new ReportEncoder(Semantics.DELTA_ENCODING)
  return () => {
    encoder.add(record(stream, attributes().snapshot()))
    if (encoder.records < 1000) return
    const bytes = encoder.finish()
    encoder = new ReportEncoder(Semantics.DELTA_ENCODING)
    return bytes
  }
}

/** Nanoseconds of CPU that one run takes, over a loop of about so long; CPU time, so that other processes do not count. */
function costOf(run: () => unknown, forMs: number): number {
  const batch = 2000
  let calls = 0
  const before = process.cpuUsage()
  const endMs = performance.now() + forMs
  while (performance.now() < endMs) {
    for (let i = 0; i < batch; i++) sink = run()
    calls += batch
  }
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1000) / calls
}

/** Keeps results alive, so that no work can be left out. */
export let sink: unknown
