import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bagOf } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import { encodeAttributes } from '@weft/attributes/encoding'
import { GLOBAL_WORDS } from '@weft/attributes/global-words'
import { parseIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'
import { CheckRequest, CheckResponse } from '@weft/contracts/istio/mixer/v1/check'
import { ReportRequest } from '@weft/contracts/istio/mixer/v1/report'
import { Exposition } from '@weft/mixer/adapters/prometheus/exposition'
import { HandlerTable } from '@weft/mixer/config/handler-table'
import { startMixerConfig } from '@weft/mixer/config/mixer-config'
import { DispatchMetrics } from '@weft/mixer/dispatch/metrics'
import { createMixer, type Mixer } from '@weft/mixer/serve/mixer'
import { readCheckRequest, readReportRequest } from '@weft/mixer/serve/request-bytes'
import { defaultConfigDir } from '@weft/mixer/service'
import { createLogger } from '@weft/service/logger'
import { Registry } from '@weft/service/metrics'
import { startRedis } from '../e2e/redis.ts'
import { type BenchOptions, chosen } from './bench-options.ts'

const RECORDS = 1_000
const DEADLINE_MS = 5_000

/**
 * What Mixer costs without gRPC: a Check with three rules that match, one with a thousand rules for other services, a
 * Report record into the mesh's metrics, and a quota in memory and in Redis. CPU microseconds each.
 */
export async function benchMixer({ rounds, seconds, only }: BenchOptions): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-bench-mixer-'))
  const redis = await startRedis()
  if (redis === undefined) console.log('no redis-server on the PATH: quotas in Redis are left out')
  const { mixer, close } = await openMixer(dir, redis?.url)
  try {
    const call = { ...attributes, 'request.headers': new Map([['x-user', 'mary']]) }
    const check = encodedCheck(call, {})
    const quota = (name: string) =>
      encodedCheck({ ...call, 'destination.service.host': 'quota' }, { [name]: { amount: 1, bestEffort: true } })
    const records = encodedReport()
    const local = quota('local')
    const shared = quota('shared')
    const work: [name: string, parallel: number, perCall: number, run: () => Promise<unknown>][] = [
      ['check, 3 rules of 1,003', 1, 1, () => mixer.check(readCheckRequest(check), DEADLINE_MS)],
      [
        'check, bytes to bytes',
        1,
        1,
        async () => CheckResponse.encode(await mixer.check(readCheckRequest(check), DEADLINE_MS)).finish(),
      ],
      ['report record, 4 metrics', 1, RECORDS, () => mixer.report(readReportRequest(records), DEADLINE_MS)],
      ['quota in memory', 1, 1, () => mixer.check(readCheckRequest(local), DEADLINE_MS)],
    ]
    if (redis !== undefined) work.push(['quota in Redis', 200, 1, () => mixer.check(readCheckRequest(shared), DEADLINE_MS)])
    const results: Record<string, number> = {}
    const names = chosen(
      work.map(([name]) => name),
      only,
    )
    for (const [name, parallel, perCall, run] of work.filter(([name]) => names.includes(name))) {
      const costs: number[] = []
      for (let round = 0; round <= rounds; round++) {
        const cost = await costOf(run, parallel, (seconds * 1000) / (rounds + 1))
        if (round > 0) costs.push(cost / perCall)
      }
      costs.sort((one, other) => one - other)
      results[name] = costs[Math.floor(costs.length / 2)] ?? Number.NaN
      console.log(`${name.padEnd(28)} ${results[name]?.toFixed(2)} µs`)
    }
    console.log(JSON.stringify({ bench: 'mixer', unit: 'CPU µs', node: process.version, results }))
  } finally {
    await close()
    await redis?.stop()
    await rm(dir, { recursive: true, force: true })
  }
}

/** CPU time of this process for one call, with so many under way at a time. */
async function costOf(run: () => Promise<unknown>, parallel: number, forMs: number): Promise<number> {
  const before = process.cpuUsage()
  const endMs = performance.now() + forMs
  let calls = 0
  const worker = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await run()
      calls++
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}

async function openMixer(dir: string, redisUrl: string | undefined): Promise<{ mixer: Mixer; close(): Promise<void> }> {
  await writeFile(join(dir, 'bench.yaml'), configuration(redisUrl !== undefined))
  const logger = createLogger('bench', 'warn')
  const registry = new Registry()
  const metrics = new DispatchMetrics(registry, new Exposition(), logger)
  const config = await startMixerConfig({
    configDirs: [dir],
    defaultDirs: [defaultConfigDir],
    adapterDir: undefined,
    handlers: new HandlerTable({ logger, metrics, exposition: new Exposition(), redisUrl }),
    logger,
    registry,
  })
  return { mixer: createMixer({ plan: () => config.plan, metrics }), close: () => config.close() }
}

function configuration(withRedis: boolean): string {
  const object = (kind: string, name: string, spec: string) =>
    `apiVersion: config.istio.io/v1alpha2\nkind: ${kind}\nmetadata: { name: ${name}, namespace: istio-system }\nspec:\n${spec}\n`
  const rule = (name: string, match: string, handler: string, instance: string) =>
    object('rule', name, `  match: ${match}\n  actions: [{ handler: ${handler}, instances: [${instance}] }]`)
  const reviews = 'destination.service.host == "reviews.default.svc.cluster.local"'
  const objects = [
    object('denier', 'deny', '  status: { code: 7 }'),
    object('checknothing', 'all', '  {}'),
    object('listchecker', 'versions', '  overrides: [v1, v2, v3]'),
    object('listentry', 'version', '  value: source.labels["version"] | "none"'),
    rule('by-user', `${reviews} && request.headers["x-user"] == "john"`, 'deny.denier', 'all.checknothing'),
    rule('by-version', `${reviews} && context.protocol == "http"`, 'versions.listchecker', 'version.listentry'),
    rule('by-path', 'request.path.startsWith("/admin") && source.namespace != "default"', 'deny.denier', 'all.checknothing'),
    ...Array.from({ length: 1_000 }, (_, index) =>
      rule(
        `other-${index}`,
        `destination.service.host == "other-${index}.default.svc.cluster.local"`,
        'deny.denier',
        'all.checknothing',
      ),
    ),
    ...quotaObjects('memquota', 'local', ''),
    ...(withRedis ? quotaObjects('redisquota', 'shared', '') : []),
  ]
  function quotaObjects(adapter: string, name: string, extra: string): string[] {
    return [
      object(adapter, name, `  quotas: [{ name: ${name}.quota.istio-system, maxAmount: 1000000000, validDuration: 1s${extra} }]`),
      object(
        'quota',
        name,
        '  dimensions:\n    source: source.labels["app"] | "unknown"\n    destination: destination.labels["app"] | "unknown"',
      ),
      rule(name, 'destination.service.host == "quota"', `${name}.${adapter}`, `${name}.quota`),
    ]
  }
  return objects.join('---\n')
}

/** What a sidecar tells of a request. */
const attributes: Record<string, AttributeValue> = {
  'context.protocol': 'http',
  'context.reporter.kind': 'inbound',
  'context.reporter.uid': 'kubernetes://reviews-v1-0.default',
  'connection.mtls': true,
  'source.uid': 'kubernetes://productpage-v1-0.default',
  'source.ip': parseIp('127.1.1.1') ?? '',
  'source.namespace': 'default',
  'source.principal': 'cluster.local/ns/default/sa/bookinfo-productpage',
  'source.workload.name': 'productpage-v1',
  'source.workload.namespace': 'default',
  'source.labels': new Map([
    ['app', 'productpage'],
    ['version', 'v1'],
  ]),
  'destination.uid': 'kubernetes://reviews-v1-0.default',
  'destination.ip': parseIp('127.1.2.1') ?? '',
  'destination.port': 9080n,
  'destination.namespace': 'default',
  'destination.principal': 'cluster.local/ns/default/sa/bookinfo-reviews',
  'destination.service.host': 'reviews.default.svc.cluster.local',
  'destination.service.name': 'reviews',
  'destination.service.namespace': 'default',
  'destination.workload.name': 'reviews-v1',
  'destination.workload.namespace': 'default',
  'destination.labels': new Map([
    ['app', 'reviews'],
    ['version', 'v1'],
  ]),
  'request.host': 'reviews:9080',
  'request.method': 'GET',
  'request.path': '/reviews/0',
  'request.scheme': 'http',
  'request.time': new Date('2026-01-01T00:00:00Z'),
}

function encodedCheck(values: Record<string, AttributeValue>, quotas: CheckRequest['quotas']): Uint8Array {
  const message = { attributes: encodeAttributes(bagOf(values)), globalWordCount: GLOBAL_WORDS.length, quotas }
  return CheckRequest.encode(CheckRequest.create(message)).finish()
}

/** A batch as a sidecar sends it: the first record whole, then what changes from one to the next. */
function encodedReport(): Uint8Array {
  const outcome = (index: number) => ({
    'request.path': `/reviews/${index % 50}`,
    'request.size': 0n,
    'request.time': new Date(Date.UTC(2026, 0, 1) + index),
    'response.code': index % 100 === 0 ? 503n : 200n,
    'response.duration': Duration.fromMilliseconds(1 + (index % 20)),
    'response.size': BigInt(300 + (index % 100)),
    'response.time': new Date(Date.UTC(2026, 0, 1) + index + 5),
  })
  const records = Array.from({ length: RECORDS }, (_, index) =>
    encodeAttributes(bagOf(index === 0 ? { ...attributes, ...outcome(0) } : outcome(index))),
  )
  return ReportRequest.encode(ReportRequest.create({ attributes: records, globalWordCount: GLOBAL_WORDS.length })).finish()
}
