import { decodeAttributes, plainAttributes } from '@weft/attributes/decoding'
import { toPlainAttributes } from '@weft/attributes/encoding'
import type { AttributeValue } from '@weft/attributes/types'
import { wordReader } from '@weft/attributes/words'
import { Attributes } from '@weft/contracts/istio/mixer/v1/attributes'
import { HeaderOperation_Operation as Operation } from '@weft/contracts/istio/mixer/v1/check'
import { HttpClientConfig, ServiceConfig } from '@weft/contracts/istio/mixer/v1/config/client/client_config'
import { HeaderTable, headerName } from '@weft/http/header-table'
import { WeftError } from '@weft/service/errors'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Stats } from '../../../observe/stats.ts'
import { Runtime } from '../../../plan/runtime.ts'
import { SecretStore } from '../../../plan/secret-store.ts'
import { ProcessState } from '../../../shared/process-state.ts'
import { TokenBuckets } from '../../../shared/token-buckets.ts'
import { TimerWheel } from '../../../transport/timer-wheel.ts'
import type { WorkerServices } from '../../../worker-services.ts'
import { type FakeRequest, FakeStream } from '../fake-stream.ts'
import type { CompiledHttpFilter, FilterContext, HttpFilter } from '../filter.ts'
import { allowed, denied, FakeMixer } from './fake-mixer.ts'
import { mixer } from './index.ts'

const FORWARDED = headerName('x-istio-attributes')

let fakeMixer: FakeMixer
let services: WorkerServices
let stats: Stats
let isMixerUp: boolean

beforeEach(async () => {
  isMixerUp = true
  fakeMixer = await FakeMixer.open()
  const { port } = fakeMixer
  stats = new Stats(null)
  services = {
    node: { id: '', cluster: '', metadata: {}, locality: { region: '', zone: '', subZone: '' } },
    timers: new TimerWheel(),
    processState: new ProcessState(),
    tokenBuckets: new TokenBuckets(8),
    cluster: (name) => ({
      name,
      connectTimeoutMs: 1000,
      pickAddress: () => (isMixerUp ? { host: '127.0.0.1', port, key: `127.0.0.1:${port}` } : null),
      httpVersion: () => 20,
      membership: () => ({ total: 1, healthy: 1, degraded: 0 }),
      tlsOptions: () => null,
      beginRequest: () => ({ connecting: () => {}, sent: () => {}, interim: () => {}, end: () => {} }),
    }),
    log: () => {},
  }
})

afterEach(() => {
  services.timers.close()
  fakeMixer.close()
})

const BASE: Parameters<typeof HttpClientConfig.create>[0] = {
  transport: { checkCluster: 'mixer', reportCluster: 'mixer' },
  mixerAttributes: toPlainAttributes(
    Object.entries({ 'destination.service.host': 'reviews.default', 'context.reporter.kind': 'inbound' }),
  ),
}

function context(live = true): FilterContext {
  return {
    path: 'Listener in: http_filters[0].typed_config',
    name: 'mixer',
    statPrefix: 'http.in.',
    stats,
    runtime: new Runtime(),
    services: live ? services : null,
    secrets: new SecretStore(),
    direction: 'inbound',
    fail(path, message, hint) {
      throw new WeftError('invalid_argument', message, {
        where: { path: `Listener in: http_filters[0].typed_config.${path}` },
        hint,
      })
    },
  }
}

function compile(config: Parameters<typeof HttpClientConfig.create>[0]): CompiledHttpFilter {
  return mixer.compile(HttpClientConfig.encode(HttpClientConfig.create(config)).finish(), context())
}

/** Sends a request through the filter until it goes on or is answered. */
async function send(
  filter: CompiledHttpFilter,
  request: FakeRequest,
  route?: unknown,
): Promise<{ stream: FakeStream; part: HttpFilter }> {
  const stream = new FakeStream(request)
  const part = filter.start(stream, route)
  if (part === null) throw new Error('the filter takes no part')
  if (part.onRequestHeaders?.(stream, true) === 'stop') {
    await vi.waitFor(() => expect(stream.requestsContinued + (stream.replied === null ? 0 : 1)).toBe(1))
  }
  return { stream, part }
}

function finish(stream: FakeStream, part: HttpFilter, status: number): void {
  stream.response.status = status
  stream.done = true
  part.onResponseHeaders?.(stream, true)
  part.onComplete?.(stream)
}

describe('the mixer filter', () => {
  it('asks once for requests alike, and reports both', async () => {
    const filter = compile(BASE)
    for (const path of ['/a', '/b']) {
      const { stream, part } = await send(filter, { path, headers: { user: 'x' } })
      finish(stream, part, 200)
    }
    expect(fakeMixer.checks).toHaveLength(1)
    const sent = fakeMixer.checks[0]?.attributes
    const bag = sent === undefined ? undefined : decodeAttributes(sent)
    expect(bag?.get('request.path')).toBe('/a')
    expect(bag?.get('destination.service.host')).toBe('reviews.default')
    filter.close?.()
    await vi.waitFor(() => expect(fakeMixer.reports).toHaveLength(1))
    expect(fakeMixer.reports[0]?.attributes).toHaveLength(2)
    expect(stats.counter('http_mixer_filter.total_remote_check_calls').value).toBe(1)
    expect(stats.counter('http_mixer_filter.total_check_calls').value).toBe(2)
  })

  it.each([
    [7, 403, 'PERMISSION_DENIED'],
    [8, 429, 'RESOURCE_EXHAUSTED'],
    [16, 401, 'UNAUTHENTICATED'],
    [5, 404, 'NOT_FOUND'],
    [14, 503, 'UNAVAILABLE'],
  ])('answers code %d with %d, and says which rule it was', async (code, status, name) => {
    fakeMixer.answer = denied(code, 'no-entry.default/deny.default: not today')
    const { stream } = await send(compile(BASE), {})
    expect(stream.replied?.status).toBe(status)
    expect(stream.replied?.body).toBe(`${name}:no-entry.default/deny.default: not today`)
    expect(stream.replied?.options.details).toBe('mixer_denied[no-entry.default/deny.default]')
  })

  it('makes no call where configuration says that none is needed', async () => {
    const filter = compile({
      ...BASE,
      serviceConfigs: { quiet: { disableCheckCalls: true, disableReportCalls: true } },
      defaultDestinationService: 'quiet',
    })
    const { stream, part } = await send(filter, {})
    finish(stream, part, 200)
    filter.close?.()
    expect(stream.requestsContinued).toBe(0)
    expect(fakeMixer.checks).toEqual([])
    expect(stats.counter('http_mixer_filter.total_report_calls').value).toBe(0)
  })

  it('takes a route’s own service over the listener’s', async () => {
    const filter = compile(BASE)
    const bytes = ServiceConfig.encode(
      ServiceConfig.create({ mixerAttributes: toPlainAttributes([['destination.service.host', 'ratings.default']]) }),
    ).finish()
    const route = mixer.compileRouteConfig?.(bytes, 'istio.mixer.v1.config.client.ServiceConfig', context())
    await send(filter, {}, route)
    const sent = fakeMixer.checks[0]?.attributes
    expect(sent && decodeAttributes(sent).get('destination.service.host')).toBe('ratings.default')
    expect(sent && decodeAttributes(sent).get('context.reporter.kind')).toBe('inbound')
  })

  it('takes what the caller’s sidecar forwarded, except what it may not claim, and hides the header', async () => {
    const claims: [string, AttributeValue][] = [
      ['source.uid', 'kubernetes://a.b'],
      ['source.principal', 'cluster.local/ns/x/sa/admin'],
      ['destination.service.host', 'forged'],
      ['request.path', '/forged'],
    ]
    const header = Buffer.from(Attributes.encode(toPlainAttributes(claims)).finish()).toString('base64')
    const { stream } = await send(compile(BASE), { path: '/real', headers: { 'x-istio-attributes': header } })
    const sent = fakeMixer.checks[0]?.attributes
    const bag = sent === undefined ? undefined : decodeAttributes(sent)
    expect(bag?.get('source.uid')).toBe('kubernetes://a.b')
    expect(bag?.get('source.principal')).toBeUndefined()
    expect(bag?.get('destination.service.host')).toBe('reviews.default')
    expect(bag?.get('request.path')).toBe('/real')
    expect(bag?.getEntry('request.headers', 'x-istio-attributes')).toBeUndefined()
    expect(stream.request.headers.get(FORWARDED)).toBeNull()
  })

  it('goes on when the forwarded header is nonsense', async () => {
    const { stream } = await send(compile(BASE), { headers: { 'x-istio-attributes': '%%%%AAAA////' } })
    expect(stream.replied).toBeNull()
    await send(compile(BASE), { headers: { 'x-istio-attributes': 'A'.repeat(20_000) } })
    expect(stats.counter('http_mixer_filter.total_malformed_forwarded_attributes').value).toBeGreaterThan(0)
  })

  it('sends its own attributes on, on the outbound side', async () => {
    const filter = compile({ forwardAttributes: toPlainAttributes([['source.uid', 'kubernetes://me.ns']]) })
    const { stream } = await send(filter, { headers: { 'x-istio-attributes': 'forged' } })
    const header = stream.request.headers.get(FORWARDED) ?? ''
    expect(plainAttributes(Attributes.decode(Buffer.from(header, 'base64')))).toEqual([['source.uid', 'kubernetes://me.ns']])
    expect(fakeMixer.checks).toEqual([])
  })

  it('knows the client by its certificate', async () => {
    const peer = {
      subject: '',
      issuer: '',
      uris: ['spiffe://cluster.local/ns/default/sa/reviews'],
      dnsNames: [],
      serialNumber: '',
      fingerprint256: '',
      pem: '',
      verified: true,
      validFrom: new Date(),
      validTo: new Date(),
    }
    const tls = {
      version: 'TLSv1.3',
      cipher: '',
      alpn: '',
      serverName: '',
      peer,
      localUris: ['spiffe://cluster.local/ns/default/sa/ratings'],
    }
    await send(compile(BASE), { connection: { tls } })
    const sent = fakeMixer.checks[0]?.attributes
    const bag = sent === undefined ? undefined : decodeAttributes(sent)
    expect(bag?.get('source.principal')).toBe('cluster.local/ns/default/sa/reviews')
    expect(bag?.get('destination.principal')).toBe('cluster.local/ns/default/sa/ratings')
    expect(bag?.get('connection.mtls')).toBe(true)
  })

  it('applies route directives to request and response', async () => {
    const response = allowed()
    if (response.precondition) {
      response.precondition.routeDirective = {
        requestHeaderOperations: [
          { name: 'X-Added', value: '1', operation: Operation.REPLACE },
          { name: 'x-secret', value: '', operation: Operation.REMOVE },
          { name: 'bad name', value: '1', operation: Operation.APPEND },
          { name: 'x-split', value: 'a\r\nb: c', operation: Operation.APPEND },
          { name: ':path', value: '/other', operation: Operation.REPLACE },
          { name: 'content-length', value: '5', operation: Operation.REPLACE },
        ],
        responseHeaderOperations: [{ name: 'x-seen', value: 'yes', operation: Operation.APPEND }],
        directResponseCode: 0,
        directResponseBody: '',
      }
    }
    fakeMixer.answer = response
    const { stream, part } = await send(compile(BASE), { headers: { 'x-secret': 's' } })
    const names: string[] = []
    stream.request.headers.forEach((name, value) => void names.push(`${name}: ${value}`))
    expect(names).toEqual(['x-added: 1'])
    expect(stream.request.path).toBe('/other')
    expect(stream.routesCleared).toBe(1)
    finish(stream, part, 200)
    expect(stream.response.headers.get(headerName('x-seen'))).toBe('yes')
  })

  it('gives Mixer’s own answer where it has one', async () => {
    const response = denied(7, 'r/h: no')
    if (response.precondition) {
      response.precondition.routeDirective = {
        requestHeaderOperations: [],
        responseHeaderOperations: [{ name: 'X-Why', value: 'policy', operation: Operation.REPLACE }],
        directResponseCode: 302,
        directResponseBody: 'moved',
      }
    }
    fakeMixer.answer = response
    const { stream } = await send(compile(BASE), {})
    expect(stream.replied).toMatchObject({ status: 302, body: 'moved', options: { headers: [['x-why', 'policy']] } })
  })

  it('follows the fail policy when Mixer is away', async () => {
    isMixerUp = false
    expect((await send(compile(BASE), {})).stream.replied).toBeNull()
    const closed = compile({ ...BASE, transport: { checkCluster: 'mixer', networkFailPolicy: { policy: 1 } } })
    const { stream } = await send(closed, {})
    expect(stream.replied?.status).toBe(503)
    expect(stream.replied?.body).toContain('Mixer gave no answer')
  })

  it('gives up a check whose client has gone', async () => {
    const filter = compile(BASE)
    const stream = new FakeStream({})
    const part = filter.start(stream, undefined)
    expect(part?.onRequestHeaders?.(stream, true)).toBe('stop')
    stream.done = true
    part?.onComplete?.(stream)
    await vi.waitFor(() => expect(stats.counter('http_mixer_filter.total_remote_call_cancellations').value).toBe(1))
    expect(stream.requestsContinued).toBe(0)
    expect(stream.replied).toBeNull()
  })

  it('asks anew once Mixer reports by another configuration', async () => {
    fakeMixer.revision = 'one'
    const filter = compile({ ...BASE, transport: { ...BASE.transport, disableReportBatch: true } })
    const request = async () => {
      const { stream, part } = await send(filter, { headers: { user: 'x' } })
      const reports = fakeMixer.reports.length
      finish(stream, part, 200)
      await vi.waitFor(() => {
        expect(fakeMixer.reports.length).toBe(reports + 1)
        expect(stats.counter('http_mixer_filter.total_remote_report_successes').value).toBe(reports + 1)
      })
      return stream
    }
    await request()
    await request()
    expect(fakeMixer.checks).toHaveLength(1)
    fakeMixer.answer = denied(7, 'new/rule: no')
    fakeMixer.revision = 'two'
    await request()
    const refused = await request()
    expect(refused.replied?.status).toBe(403)
    expect(fakeMixer.checks).toHaveLength(2)
    expect(stats.counter('http_mixer_filter.total_check_cache_flushes').value).toBe(1)
  })

  it('reports what a filter before it answered, and gRPC’s own status', async () => {
    const filter = compile(BASE)
    const fault = new FakeStream({ path: '/aborted' })
    const passedOver = filter.start(fault, undefined)
    fault.response.status = 503
    fault.done = true
    passedOver?.onComplete?.(fault)
    const { stream, part } = await send(filter, { path: '/pkg.Service/Call', isGrpc: true })
    stream.response.status = 200
    const trailers = new HeaderTable()
    trailers.append(headerName('grpc-status'), '5')
    trailers.append(headerName('grpc-message'), 'no such thing')
    part.onResponseTrailers?.(stream, trailers)
    stream.done = true
    part.onComplete?.(stream)
    filter.close?.()
    await vi.waitFor(() => expect(fakeMixer.reports).toHaveLength(2))
    const records = fakeMixer.reports.map((report) => {
      const [message] = report.attributes
      if (message === undefined) throw new Error('an empty report')
      return decodeAttributes(message, wordReader(report.defaultWords))
    })
    const aborted = records.find((record) => record.get('request.path') === '/aborted')
    expect(aborted?.get('response.code')).toBe(503n)
    expect(aborted?.get('check.cache_hit')).toBeUndefined()
    const called = records.find((record) => record.get('context.protocol') === 'grpc')
    expect(called?.get('response.grpc_status')).toBe('5')
    expect(called?.get('response.grpc_message')).toBe('no such thing')
  })

  it('charges quotas by their rules', async () => {
    const filter = compile({
      ...BASE,
      serviceConfigs: {
        s: {
          quotaSpec: [
            {
              rules: [
                {
                  match: [{ clause: { 'request.path': { matchType: { $case: 'prefix', value: '/api' } } } }],
                  quotas: [{ quota: 'api', charge: 2 }],
                },
                { match: [], quotas: [{ quota: 'all', charge: 1 }] },
              ],
            },
          ],
        },
      },
      defaultDestinationService: 's',
    })
    await send(filter, { path: '/api/x' })
    await send(filter, { path: '/other' })
    expect(
      fakeMixer.checks.map((check) => Object.entries(check.quotas).map(([name, { amount }]) => `${name}=${amount}`)),
    ).toEqual([['api=2', 'all=1'], ['all=1']])
  })

  it('refuses what cannot work, with its place', () => {
    const bytes = ServiceConfig.encode(
      ServiceConfig.create({
        quotaSpec: [{ rules: [{ match: [{ clause: { a: { matchType: { $case: 'regex', value: '(' } } } }], quotas: [] }] }],
      }),
    ).finish()
    const compileRoute = () => mixer.compileRouteConfig?.(bytes, 'istio.mixer.v1.config.client.ServiceConfig', context(false))
    expect(compileRoute).toThrow(/error parsing regexp/)
    try {
      compileRoute()
    } catch (thrown) {
      expect(WeftError.from(thrown).where?.path).toContain('quota_spec[0].rules[0].match[0].clause[a].regex')
    }
    expect(() => compile({ ...BASE, serviceConfigs: { a: {} }, defaultDestinationService: 'b' })).toThrow(
      "'b' is not in service_configs",
    )
  })
})
