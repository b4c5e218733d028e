import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { TransportSocket } from '@weft/contracts/envoy/config/core/v3/base'
import { ProxyProtocolUpstreamTransport } from '@weft/contracts/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol'
import { expect, test } from 'vitest'
import { type Built, builtFor, nodeOf } from '../../testing/built-for.ts'
import { envoyBinary, validateWithEnvoy } from '../../testing/real-envoy.ts'
import { staticBootstrap } from '../../testing/static-bootstrap.ts'

const host = 'web.test.example'
const name = `outbound|80||${host}`

function build(trafficPolicy: object, annotations: object = {}, http: object[] = []): Built {
  const spec = {
    hosts: [host],
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    endpoints: [{ address: '10.0.0.1' }],
  }
  const group = 'networking.istio.io/v1'
  const objects = [
    { apiVersion: group, kind: 'ServiceEntry', metadata: { name: 'web', annotations }, spec },
    { apiVersion: group, kind: 'DestinationRule', metadata: { name: 'web' }, spec: { host, trafficPolicy } },
    { apiVersion: group, kind: 'VirtualService', metadata: { name: 'web' }, spec: { hosts: [host], http } },
  ]
  const used = http.length === 0 ? objects.slice(0, 2) : objects
  return builtFor(used.map((object) => JSON.stringify(object)).join('\n---\n'), nodeOf('sidecar'))
}

const clusterOf = (trafficPolicy: object, annotations?: object): Cluster => {
  const cluster = build(trafficPolicy, annotations).clusters.get(name)
  if (cluster === undefined) throw new Error('no cluster')
  return cluster
}

test('new endpoints are warmed up', () => {
  const warmup = { duration: '30s', minimumPercent: 5, aggression: 2 }
  expect(clusterOf({ loadBalancer: { simple: 'ROUND_ROBIN', warmup } }).lbConfig).toMatchObject({
    $case: 'roundRobinLbConfig',
    value: {
      slowStartConfig: { slowStartWindow: { seconds: 30 }, minWeightPercent: { value: 5 }, aggression: { defaultValue: 2 } },
    },
  })
  expect(clusterOf({ loadBalancer: { simple: 'LEAST_REQUEST', warmup: { duration: '1s' } } }).lbConfig).toMatchObject({
    $case: 'leastRequestLbConfig',
    value: { slowStartConfig: { aggression: { defaultValue: 1 }, minWeightPercent: { value: 10 } } },
  })
  expect(clusterOf({ loadBalancer: { simple: 'LEAST_REQUEST', warmupDurationSecs: '2s' } }).lbConfig).toMatchObject({
    value: { slowStartConfig: { slowStartWindow: { seconds: 2 }, aggression: undefined } },
  })
})

test('below the share of healthy endpoints that is stated all are used, unless their own health is what counts', () => {
  const policy = { outlierDetection: { minHealthPercent: 40 } }
  expect(clusterOf(policy).commonLbConfig?.healthyPanicThreshold).toEqual({ value: 40 })
  const near = { 'networking.istio.io/traffic-distribution': 'PreferClose' }
  expect(clusterOf(policy, near).commonLbConfig?.healthyPanicThreshold).toEqual({ value: 0 })
  expect(clusterOf({ outlierDetection: {} }).commonLbConfig?.healthyPanicThreshold).toEqual({ value: 0 })
})

test('a retry budget bounds retries by the requests there are', () => {
  const { circuitBreakers } = clusterOf({ retryBudget: { percent: 25, minRetryConcurrency: 10 } })
  expect(circuitBreakers?.thresholds[0]?.retryBudget).toEqual({ budgetPercent: { value: 25 }, minRetryConcurrency: 10 })
})

test('PROXY protocol goes before whatever connections begin with', () => {
  const versionOf = (socket: TransportSocket | undefined): [number | undefined, string | undefined] => {
    expect(socket?.name).toBe('envoy.transport_sockets.upstream_proxy_protocol')
    const { config, transportSocket } = ProxyProtocolUpstreamTransport.decode(
      socket?.configType?.$case === 'typedConfig' ? socket.configType.value.value : Buffer.alloc(0),
    )
    return [config?.version, transportSocket?.name]
  }
  const automatic = clusterOf({ proxyProtocol: { version: 'V2' } })
  expect(automatic.transportSocketMatches.map(({ transportSocket }) => versionOf(transportSocket))).toEqual([
    [1, 'envoy.transport_sockets.tls'],
    [1, 'envoy.transport_sockets.raw_buffer'],
  ])
  const plain = clusterOf({ proxyProtocol: {}, tls: { mode: 'DISABLE' } })
  expect(versionOf(plain.transportSocket)).toEqual([0, 'envoy.transport_sockets.raw_buffer'])
  const tls = clusterOf({ proxyProtocol: { version: 'V1' }, tls: { mode: 'SIMPLE' } })
  expect(versionOf(tls.transportSocket)).toEqual([0, 'envoy.transport_sockets.tls'])
})

test('retries may go to endpoints farther away', () => {
  const route = { route: [{ destination: { host } }], retries: { attempts: 3, retryRemoteLocalities: true } }
  const { routes } = build({ outlierDetection: {} }, {}, [route])
  const [virtualHost] = [...routes.values()].flatMap(({ virtualHosts }) =>
    virtualHosts.filter(({ domains }) => domains.includes(host)),
  )
  const action = virtualHost?.routes[0]?.action
  expect(action?.$case === 'route' ? action.value.retryPolicy?.retryPriority?.name : undefined).toBe(
    'envoy.retry_priorities.previous_priorities',
  )
})

test.skipIf(envoyBinary === undefined)('real Envoy takes all of it', async () => {
  const all = build(
    {
      loadBalancer: {
        simple: 'ROUND_ROBIN',
        warmup: { duration: '30s' },
        localityLbSetting: { failoverPriority: ['topology.istio.io/network'] },
      },
      outlierDetection: { minHealthPercent: 40 },
      retryBudget: { percent: 25 },
      proxyProtocol: { version: 'V2' },
    },
    {},
    [{ route: [{ destination: { host } }], retries: { attempts: 3, retryRemoteLocalities: true } }],
  )
  expect(await validateWithEnvoy(staticBootstrap(all))).toBe('')
})
