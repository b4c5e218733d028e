import { credentials } from '@grpc/grpc-js'
import { AccessLogServiceClient, StreamAccessLogsMessage } from '@weft/contracts/envoy/service/accesslog/v3/als'
import { AuthorizationClient, CheckRequest, type CheckResponse } from '@weft/contracts/envoy/service/auth/v3/external_auth'
import {
  RateLimitResponse_Code as Code,
  RateLimitRequest,
  RateLimitServiceClient,
} from '@weft/contracts/envoy/service/ratelimit/v3/rls'
import { unary } from '@weft/service/grpc'
import { describe, expect, it } from 'vitest'
import { runMixer } from '../testing/running-mixer.ts'

const object = (kind: string, name: string, spec: string) =>
  `---\napiVersion: config.istio.io/v1alpha2\nkind: ${kind}\nmetadata: { name: ${name}, namespace: istio-system }\nspec:\n${spec}\n`

describe('ext_authz', () => {
  const rules = [
    object('denier', 'deny', '  status: { code: 16, message: Who are you }'),
    object('checknothing', 'all', '  {}'),
    object(
      'rule',
      'deny-john',
      '  match: destination.service.host == "a.shop.svc.cluster.local" && request.headers["x-user"] == "john" && source.namespace == "web"\n  actions: [{ handler: deny.denier, instances: [all.checknothing] }]',
    ),
    object(
      'rule',
      'edit',
      '  match: request.path.startsWith("/")\n  requestHeaderOperations: [{ name: x-from, values: [source.principal | "nobody"] }, { name: x-secret, operation: REMOVE }]',
    ),
  ].join('')

  async function ask(headers: Record<string, string>): Promise<CheckResponse> {
    const client = new AuthorizationClient((await runMixer(rules)).grpc, credentials.createInsecure())
    try {
      const request = CheckRequest.fromPartial({
        attributes: {
          source: {
            principal: 'spiffe://cluster.local/ns/web/sa/front',
            address: {
              address: {
                $case: 'socketAddress',
                value: { address: '10.0.0.1', portSpecifier: { $case: 'portValue', value: 999 } },
              },
            },
          },
          contextExtensions: { 'destination.service.host': 'a.shop.svc.cluster.local' },
          request: { http: { method: 'GET', path: '/cart?x=1', host: 'a', headers } },
        },
      })
      return await unary(client.check.bind(client), request, 5_000)
    } finally {
      client.close()
    }
  }

  it('is denied with the HTTP status that belongs to the code, and the name of the rule', async () => {
    const { status, httpResponse } = await ask({ 'x-user': 'john' })
    expect(status?.code).toBe(16)
    expect(httpResponse).toMatchObject({
      $case: 'deniedResponse',
      value: { status: { code: 401 }, body: 'UNAUTHENTICATED:deny-john.istio-system/deny.denier.istio-system: Who are you' },
    })
  })

  it('passes with header edits', async () => {
    const { status, httpResponse } = await ask({ 'x-user': 'mary' })
    expect(status?.code).toBe(0)
    expect(httpResponse).toMatchObject({
      $case: 'okResponse',
      value: { headers: [{ header: { key: 'x-from', value: 'cluster.local/ns/web/sa/front' } }], headersToRemove: ['x-secret'] },
    })
  })
})

describe('the rate limit service', () => {
  it('counts each descriptor of a domain, and says which is over its limit', async () => {
    const config = [
      object('memquota', 'limits', '  quotas: [{ name: per-client.quota.istio-system, maxAmount: 2, validDuration: 60s }]'),
      object('quota', 'per-client', '  dimensions:\n    client: ratelimit.descriptor["remote_address"] | ""'),
      object(
        'rule',
        'limit',
        '  match: ratelimit.domain == "per-client"\n  actions: [{ handler: limits.memquota, instances: [per-client.quota] }]',
      ),
    ].join('')
    const client = new RateLimitServiceClient((await runMixer(config)).grpc, credentials.createInsecure())
    const descriptor = (value: string) => ({ entries: [{ key: 'remote_address', value }] })
    const ask = (...clients: string[]) =>
      unary(
        client.shouldRateLimit.bind(client),
        RateLimitRequest.fromPartial({ domain: 'per-client', descriptors: clients.map(descriptor) }),
        5_000,
      )
    expect((await ask('a')).overallCode).toBe(Code.OK)
    expect((await ask('a', 'b')).overallCode).toBe(Code.OK)
    expect(await ask('a', 'b')).toMatchObject({
      overallCode: Code.OVER_LIMIT,
      statuses: [{ code: Code.OVER_LIMIT }, { code: Code.OK }],
    })
    await expect(unary(client.shouldRateLimit.bind(client), RateLimitRequest.create({}), 5_000)).rejects.toMatchObject({
      code: 'invalid_argument',
    })
    client.close()
  })
})

describe('the access log service', () => {
  it('makes metrics of entries, with the workload that the node names', async () => {
    const { grpc, admin } = await runMixer('')
    const client = new AccessLogServiceClient(grpc, credentials.createInsecure())
    await new Promise<void>((resolve, reject) => {
      const stream = client.streamAccessLogs((error) => (error === null ? resolve() : reject(error)))
      const entry = (upstreamCluster: string) => ({
        commonProperties: {
          upstreamCluster,
          duration: { seconds: 0, nanos: 3_000_000 },
          tlsProperties: {
            peerCertificateProperties: {
              subjectAltName: [{ san: { $case: 'uri' as const, value: 'spiffe://cluster.local/ns/web/sa/front' } }],
            },
          },
        },
        request: { path: '/', authority: 'reviews', requestMethod: 1 as const },
        response: { responseCode: 200, responseBodyBytes: 12 },
      })
      const message = StreamAccessLogsMessage.fromPartial({
        identifier: {
          node: {
            id: 'sidecar~1~reviews',
            metadata: { WORKLOAD_NAME: 'reviews-v1', NAMESPACE: 'default', LABELS: { app: 'reviews' } },
          },
          logName: 'mesh',
        },
        logEntries: { $case: 'httpLogs', value: { logEntry: [entry('inbound|9080||reviews.default.svc.cluster.local')] } },
      })
      stream.write(message)
      // Only the first message names the node.
      stream.write(
        StreamAccessLogsMessage.fromPartial({
          logEntries: { $case: 'httpLogs', value: { logEntry: [entry('outbound|9080||ratings.default.svc.cluster.local')] } },
        }),
      )
      stream.end()
    })
    client.close()
    const text = await (await fetch(`${admin}/metrics`)).text()
    expect(text).toMatch(
      /istio_requests_total\{reporter="destination",.*source_principal="cluster\.local\/ns\/web\/sa\/front",.*destination_workload="reviews-v1",.*destination_service="reviews\.default\.svc\.cluster\.local",.*response_code="200",connection_security_policy="mutual_tls"\} 1\n/,
    )
    expect(text).toMatch(
      /istio_requests_total\{reporter="source",source_workload="reviews-v1",.*source_app="reviews",.*destination_service_name="ratings",.*\} 1\n/,
    )
  })
})
