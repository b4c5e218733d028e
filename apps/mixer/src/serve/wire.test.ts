import { credentials, Metadata } from '@grpc/grpc-js'
import { bagOf } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import { encodeAttributes } from '@weft/attributes/encoding'
import { GLOBAL_WORDS } from '@weft/attributes/global-words'
import { decodeReferences } from '@weft/attributes/references'
import { CompressedAttributes } from '@weft/contracts/istio/mixer/v1/attributes'
import { CheckRequest, type CheckResponse, HeaderOperation_Operation } from '@weft/contracts/istio/mixer/v1/check'
import { MixerClient } from '@weft/contracts/istio/mixer/v1/mixer'
import { ReportRequest } from '@weft/contracts/istio/mixer/v1/report'
import { unary } from '@weft/service/grpc'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runMixer } from './testing/running-mixer.ts'

const object = (kind: string, name: string, spec: string, namespace = 'istio-system') =>
  `---\napiVersion: config.istio.io/v1alpha2\nkind: ${kind}\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: ${spec}\n`

let client: MixerClient
let admin: string

/** A Mixer with this configuration, and a client of it. */
async function start(config: string): Promise<void> {
  const mixer = await runMixer(config)
  admin = mixer.admin
  client = new MixerClient(mixer.grpc, credentials.createInsecure())
  onTestFinished(() => client.close())
}

function checkWith(attributes: Parameters<typeof bagOf>[0], rest: Partial<CheckRequest> = {}): Promise<CheckResponse> {
  const request = CheckRequest.create({
    attributes: encodeAttributes(bagOf(attributes)),
    globalWordCount: GLOBAL_WORDS.length,
    ...rest,
  })
  return unary(client.check.bind(client), request, 5_000)
}

function referenced(response: CheckResponse): string[] {
  const { references } = decodeReferences(response.precondition?.referencedAttributes)
  return references.map(({ name, key, condition }) => `${name}${key === undefined ? '' : `[${key}]`} ${condition}`).sort()
}

const denials = [
  object('denier', 'deny', '{ status: { code: 7, message: Not allowed }, validDuration: 5s, validUseCount: 100 }'),
  object('checknothing', 'all', '{}'),
  object(
    'rule',
    'deny-john',
    '\n  match: request.headers["x-user"] == "john"\n  actions: [{ handler: deny.denier, instances: [all.checknothing] }]',
  ),
].join('')

describe('Check', () => {
  it('passes what no rule is about, for a minute and ten thousand uses', async () => {
    await start('')
    const { precondition } = await checkWith({ 'request.path': '/' })
    expect(precondition).toMatchObject({
      status: { code: 0 },
      validDuration: { seconds: 60, nanos: 0 },
      validUseCount: 10_000,
      routeDirective: undefined,
    })
    expect(precondition?.referencedAttributes?.attributeMatches).toEqual([])
  })

  it('denies by a rule, names it, and says what the verdict depended on', async () => {
    await start(denials)
    const denied = await checkWith({ 'request.headers': new Map([['x-user', 'john']]) })
    expect(denied.precondition).toMatchObject({
      status: { code: 7, message: 'deny-john.istio-system/deny.denier.istio-system: Not allowed' },
      validDuration: { seconds: 5, nanos: 0 },
      validUseCount: 100,
    })
    expect(referenced(denied)).toEqual(['request.headers[x-user] exact'])
    expect(referenced(await checkWith({ 'request.headers': new Map() }))).toEqual(['request.headers[x-user] absence'])
    expect(referenced(await checkWith({}))).toEqual(['request.headers absence'])
  })

  it('applies rules of a namespace to its services only, and tells that it looked', async () => {
    await start(denials.replaceAll('istio-system', 'shop').replace(/match: .*/, ''))
    const inside = await checkWith({ 'destination.namespace': 'shop' })
    expect(inside.precondition?.status?.code).toBe(7)
    expect(referenced(inside)).toEqual(['destination.namespace exact'])
    expect((await checkWith({ 'destination.service.host': 'cart.shop.svc.cluster.local' })).precondition?.status?.code).toBe(7)
    expect((await checkWith({ 'destination.namespace': 'other' })).precondition?.status?.code).toBe(0)
  })

  it('asks for header edits, with values of the request', async () => {
    const operations =
      '{ requestHeaderOperations: [{ name: x-from, values: [source.name | "nobody"] }, { name: x-gone, operation: REMOVE }], responseHeaderOperations: [{ name: via, values: [\'"weft"\'], operation: APPEND }] }'
    await start(object('rule', 'headers', operations))
    const { precondition } = await checkWith({ 'source.name': 'a\r\nb: c' })
    expect(precondition?.routeDirective).toEqual({
      requestHeaderOperations: [
        { name: 'x-from', value: 'a  b: c', operation: HeaderOperation_Operation.REPLACE },
        { name: 'x-gone', value: '', operation: HeaderOperation_Operation.REMOVE },
      ],
      responseHeaderOperations: [{ name: 'via', value: 'weft', operation: HeaderOperation_Operation.APPEND }],
      directResponseCode: 0,
      directResponseBody: '',
    })
  })

  it('answers attributes that cannot be read with an error, and goes on', async () => {
    await start(denials)
    const attributes = CompressedAttributes.create({ strings: { 5000: 1 } })
    await expect(checkWith({}, { attributes })).rejects.toMatchObject({ code: 'invalid_argument' })
    await expect(checkWith({}, { globalWordCount: 9_999 })).rejects.toMatchObject({ code: 'invalid_argument' })
    expect((await checkWith({})).precondition?.status?.code).toBe(0)
  })
})

describe('quotas', () => {
  const limit = [
    object('memquota', 'count', '{ quotas: [{ name: requests.quota.istio-system, maxAmount: 5, validDuration: 10s }] }'),
    object('quota', 'requests', '\n  dimensions:\n    app: source.labels["app"] | "unknown"'),
    object('rule', 'limit', '{ actions: [{ handler: count.memquota, instances: [requests.quota] }] }'),
  ].join('')
  const ask = (amount: number, bestEffort = false) => ({ requests: { amount, bestEffort } })

  it('are granted until the limit, each set of dimensions by itself', async () => {
    await start(limit)
    const granted: (number | undefined)[] = []
    for (let index = 0; index < 6; index++)
      granted.push((await checkWith({}, { quotas: ask(1) })).quotas['requests']?.grantedAmount)
    expect(granted).toEqual([1, 1, 1, 1, 1, 0])
    const other = await checkWith({ 'source.labels': new Map([['app', 'reviews']]) }, { quotas: ask(9, true) })
    expect(other.quotas['requests']).toMatchObject({ grantedAmount: 5, validDuration: { seconds: 10, nanos: 0 } })
    expect(decodeReferences(other.quotas['requests']?.referencedAttributes).references).toEqual([
      { name: 'source.labels', key: 'app', condition: 'exact' },
    ])
  })

  it('are counted once for one deduplication id', async () => {
    await start(limit)
    for (let index = 0; index < 3; index++) {
      expect((await checkWith({}, { quotas: ask(3), deduplicationId: 'one' })).quotas['requests']?.grantedAmount).toBe(3)
    }
    expect((await checkWith({}, { quotas: ask(3), deduplicationId: 'two' })).quotas['requests']?.grantedAmount).toBe(0)
  })

  it('that nobody counts are granted in full for a minute', async () => {
    await start(limit)
    const response = await checkWith({}, { quotas: { unknown: { amount: 77, bestEffort: false } } })
    expect(response.quotas['unknown']).toMatchObject({ grantedAmount: 77, validDuration: { seconds: 60, nanos: 0 } })
  })

  it('are not asked for where the check denies', async () => {
    await start(limit + denials)
    const response = await checkWith({ 'request.headers': new Map([['x-user', 'john']]) }, { quotas: ask(1) })
    expect(response.quotas).toEqual({})
  })
})

describe('Report', () => {
  it('takes delta records into the metrics of the mesh', async () => {
    await start('')
    const first = encodeAttributes(
      bagOf({
        'context.protocol': 'http',
        'context.reporter.kind': 'inbound',
        'source.workload.name': 'productpage-v1',
        'source.principal': 'cluster.local/ns/default/sa/productpage',
        'destination.workload.name': 'reviews-v1',
        'destination.service.host': 'reviews.default.svc.cluster.local',
        'response.code': 200n,
        'response.duration': Duration.fromMilliseconds(7),
        'request.size': 10n,
        'response.size': 1_234n,
        'connection.mtls': true,
      }),
    )
    const second = encodeAttributes(bagOf({ 'response.code': 500n }))
    const request = ReportRequest.create({ attributes: [first, second, second], globalWordCount: GLOBAL_WORDS.length })
    await unary(client.report.bind(client), request, 5_000, new Metadata())
    const text = await (await fetch(`${admin}/metrics`)).text()
    const labels =
      'reporter="destination",source_workload="productpage-v1",source_workload_namespace="unknown",source_principal="cluster.local/ns/default/sa/productpage",source_app="unknown",source_version="unknown",destination_workload="reviews-v1",destination_workload_namespace="unknown",destination_principal="unknown",destination_app="unknown",destination_version="unknown",destination_service="reviews.default.svc.cluster.local",destination_service_name="unknown",destination_service_namespace="unknown",request_protocol="http"'
    const end = 'connection_security_policy="mutual_tls"'
    expect(text).toContain(`istio_requests_total{${labels},response_code="200",${end}} 1\n`)
    expect(text).toContain(`istio_requests_total{${labels},response_code="500",${end}} 2\n`)
    expect(text).toContain(`istio_request_duration_milliseconds_bucket{${labels},response_code="200",${end},le="10"} 1\n`)
    expect(text).toContain(`istio_response_bytes_sum{${labels},response_code="200",${end}} 1234\n`)
    expect(text).toContain('mixer_report_records_total 3\n')
  })

  it('reads words that all records share', async () => {
    await start('')
    const record = CompressedAttributes.create({ strings: { [-1]: -2 } })
    const request = ReportRequest.create({
      attributes: [record],
      defaultWords: ['context.protocol', 'http'],
      globalWordCount: GLOBAL_WORDS.length,
    })
    await unary(client.report.bind(client), request, 5_000)
    expect(await (await fetch(`${admin}/metrics`)).text()).toMatch(/istio_requests_total\{.*request_protocol="http".*\} 1\n/)
  })
})

describe('the admin server', () => {
  it('lists the objects with their errors', async () => {
    await start(object('denier', 'broken', '{ status: { code: 99 } }'))
    const status: unknown = await (await fetch(`${admin}/v1/config`)).json()
    expect(status).toMatchObject({
      objects: expect.arrayContaining([
        expect.objectContaining({
          kind: 'denier',
          name: 'broken',
          status: 'refused',
          problems: [expect.stringMatching(/config\.yaml:5: spec\.status\.code: /)],
        }),
      ]),
    })
    expect((await fetch(`${admin}/healthz/ready`)).status).toBe(200)
  })
})
