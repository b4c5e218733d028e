import { type ClientDuplexStream, credentials } from '@grpc/grpc-js'
import { AggregatedDiscoveryServiceClient } from '@weft/contracts/envoy/service/discovery/v3/ads'
import { DiscoveryRequest, type DiscoveryResponse } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { typeUrls } from '@weft/xds/types'
import { expect, onTestFinished, test } from 'vitest'
import type { ProxyStatuses } from '../status/proxy-statuses.ts'
import { nodeOf } from '../testing/built-for.ts'
import { startPilot, type TestPilot } from '../testing/start-pilot.ts'
import { checkIdentity } from './identity-check.ts'

const { cluster, endpoint, listener, route } = typeUrls
/** Machines may be slow; what is waited for comes at once otherwise. */
const patience = { timeout: 15_000 }
const config = (address = '127.1.2.1', more = ''): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { selector: { app: reviews }, ports: [{ name: http, port: 9080 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: reviews-v1 }
spec: { address: ${address}, ports: { http: 9080 }, labels: { app: reviews }, serviceAccount: reviews }
---
${more}`

async function pilot(allowUnauthenticated = true): Promise<TestPilot> {
  const started = await startPilot(config(), { allowUnauthenticated })
  onTestFinished(() => void started.close())
  return started
}

/** A proxy as Envoy behaves: subscribes to clusters, then to what they and the listeners name, and accepts everything. */
function fakeProxy(port: number, refuse: (response: DiscoveryResponse) => string | undefined = () => undefined) {
  const client = new AggregatedDiscoveryServiceClient(`127.0.0.1:${port}`, credentials.createInsecure())
  const call: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse> = client.streamAggregatedResources()
  const received: string[] = []
  const names: Record<string, string[]> = { [endpoint]: ['outbound|9080||reviews.default.svc.cluster.local'], [route]: ['9080'] }
  const failed = new Promise<string>((resolve) => call.on('error', (error) => resolve(error.message)))
  call.on('data', (response: DiscoveryResponse) => {
    received.push(response.typeUrl)
    const message = refuse(response)
    call.write(
      DiscoveryRequest.fromPartial({
        typeUrl: response.typeUrl,
        responseNonce: response.nonce,
        versionInfo: response.versionInfo,
        resourceNames: names[response.typeUrl] ?? [],
        errorDetail: message === undefined ? undefined : { code: 3, message, details: [] },
      }),
    )
  })
  const node = { id: 'sidecar~127.9.9.9~web.default~default.svc.cluster.local', metadata: { NAMESPACE: 'default' } }
  for (const typeUrl of [cluster, endpoint, listener, route]) {
    call.write(DiscoveryRequest.fromPartial({ node, typeUrl, resourceNames: names[typeUrl] ?? [] }))
  }
  onTestFinished(() => {
    call.on('error', () => {})
    call.cancel()
    client.close()
  })
  return { received, failed, call }
}

const states = (statuses: ProxyStatuses): string[] => Object.values(statuses.list()[0]?.types ?? {}).map(({ state }) => state)

test('a proxy gets clusters, endpoints, listeners and routes in that order, and is found in sync', async () => {
  const { statuses, port } = await pilot()
  const { received } = fakeProxy(port)
  await expect.poll(() => states(statuses), patience).toEqual(['SYNCED', 'SYNCED', 'SYNCED', 'SYNCED'])
  expect(received).toEqual([cluster, endpoint, listener, route])
})

test('an endpoint that moves is told alone; a VirtualService brings no clusters again', async () => {
  const { statuses, port, set, snapshots } = await pilot()
  const { received } = fakeProxy(port)
  await expect.poll(() => states(statuses), patience).toEqual(['SYNCED', 'SYNCED', 'SYNCED', 'SYNCED'])
  received.length = 0
  set(config('127.1.3.1'))
  await expect.poll(() => statuses.progress(snapshots.current.version).settled, patience).toHaveLength(1)
  expect(received).toEqual([endpoint])
  received.length = 0
  const virtualService = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec: { hosts: [reviews], http: [{ timeout: 1s, route: [{ destination: { host: reviews } }] }] }
`
  set(config('127.1.3.1', virtualService))
  await expect.poll(() => statuses.progress(snapshots.current.version).settled, patience).toHaveLength(1)
  expect(received).toEqual([route])
})

test("a refusal is kept with the proxy's words and the object it comes from", async () => {
  const { statuses, port } = await pilot()
  fakeProxy(port, (response) =>
    response.typeUrl === cluster ? 'cluster outbound|9080||reviews.default.svc.cluster.local: no thanks' : undefined,
  )
  await expect
    .poll(() => statuses.nacks(), patience)
    .toMatchObject([
      {
        resourceType: 'Cluster',
        message: expect.stringContaining('no thanks'),
        objects: [{ object: 'Service/default/reviews', line: 2 }],
      },
    ])
})

test('a client without a certificate is refused where mutual TLS is asked for', async () => {
  const { port } = await pilot(false)
  expect(await fakeProxy(port).failed).toMatch(/UNAUTHENTICATED.*certificate/)
})

test("a proxy may speak only for its certificate's namespace and service account", () => {
  const proxy = nodeOf('sidecar', { NAMESPACE: 'prod', SERVICE_ACCOUNT: 'web' })
  const check = (identity: string): void => checkIdentity(proxy, identity, true)
  check('spiffe://cluster.local/ns/prod/sa/web')
  expect(() => check('spiffe://cluster.local/ns/prod/sa/other')).toThrow(/may not speak for service account web/)
  expect(() => check('spiffe://cluster.local/ns/test/sa/web')).toThrow(/may not speak for namespace prod/)
  expect(() => check('spiffe://cluster.local')).toThrow(/not the identity of a workload/)
})
