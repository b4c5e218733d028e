import { HTTPFault } from '@weft/contracts/envoy/extensions/filters/http/fault/v3/fault'
import { UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { HttpProtocolOptions } from '@weft/contracts/envoy/extensions/upstreams/http/v3/http_protocol_options'
import { HttpClientConfig, TcpClientConfig } from '@weft/contracts/istio/mixer/v1/config/client/client_config'
import { typeUrls } from '@weft/xds/types'
import { expect, test } from 'vitest'
import { defaultMeshSettings } from '../model/mesh-settings.ts'
import { scopeOf } from '../scope/scope-of.ts'
import { type Built, builtFor, httpOf, nodeOf, targetOf, tcpOf } from '../testing/built-for.ts'
import { snapshotsOf } from '../testing/snapshot-of.ts'
import { Builder } from './builder.ts'

const services = `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { selector: { app: reviews }, clusterIP: 10.0.0.1, ports: [{ name: http, port: 9080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { selector: { app: db }, clusterIP: 10.0.0.2, ports: [{ name: tcp, port: 5432 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: reviews-v1, labels: { security.istio.io/tlsMode: istio } }
spec:
  address: 127.1.2.1
  ports: { http: 9080 }
  labels: { app: reviews, version: v1, security.istio.io/tlsMode: istio }
  serviceAccount: reviews
  weight: 3
  locality: eu/a/1
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: reviews-v2 }
spec: { address: 127.1.3.1, ports: { http: 9080 }, labels: { app: reviews, version: v2, security.istio.io/tlsMode: disabled }, serviceAccount: reviews }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec:
  host: reviews
  trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } }, loadBalancer: { simple: ROUND_ROBIN } }
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 }, trafficPolicy: { loadBalancer: { simple: RANDOM }, outlierDetection: { consecutive5xxErrors: 2 } } }
---
`
const virtualService = (http: string, more = ''): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]${more}
  http:${http}
---
`
const intercepted = nodeOf('sidecar')
const loopback = { prefix: '127.1.1', app: '127.1.1.2', services: { 'reviews.default.svc.cluster.local': 17 } }
const local = nodeOf('sidecar', { INTERCEPTION_MODE: 'NONE', LOOPBACK: loopback })
const host = 'reviews.default.svc.cluster.local'

function routesOf(built: Built, name: string, virtualHost = `${host}:9080`) {
  return built.routes.get(name)?.virtualHosts.find((candidate) => candidate.name === virtualHost)?.routes ?? []
}

test('what no service is known for is called by the protocol that the client speaks', () => {
  const { clusters } = builtFor(services, intercepted)
  for (const name of ['PassthroughCluster', 'InboundPassthroughCluster']) {
    const { value } = Object.values(clusters.get(name)?.typedExtensionProtocolOptions ?? {})[0] ?? {}
    expect(value && HttpProtocolOptions.decode(value).upstreamProtocolOptions?.$case).toBe('useDownstreamProtocolConfig')
  }
})

test("clusters carry Istio's names: one a port, one more a subset, and the built-in ones", () => {
  const { clusters } = builtFor(services, intercepted)
  expect([...clusters.keys()].sort()).toEqual([
    'BlackHoleCluster',
    'InboundPassthroughCluster',
    'PassthroughCluster',
    'outbound|5432||db.default.svc.cluster.local',
    `outbound|9080|v1|${host}`,
    `outbound|9080|v2|${host}`,
    `outbound|9080||${host}`,
  ])
})

test('where connections are caught, the application is called at the address that was called, from one that rules let through', () => {
  const { clusters } = builtFor(services, nodeOf('sidecar', { LABELS: { app: 'reviews' } }, '127.1.2.1'))
  for (const name of ['InboundPassthroughCluster', 'inbound|9080||']) {
    const cluster = clusters.get(name)
    expect(cluster?.clusterDiscoveryType?.value, name).toBe(4)
    expect(cluster?.upstreamBindConfig?.sourceAddress?.address, name).toBe('127.0.0.6')
    expect(cluster?.upstreamBindConfig?.extraSourceAddresses[0]?.address?.address, name).toBe('::6')
  }
  expect(clusters.get('PassthroughCluster')?.upstreamBindConfig).toBeUndefined()
})

test("a subset's policy replaces the host's field by field", () => {
  const { clusters } = builtFor(services, intercepted)
  const whole = clusters.get(`outbound|9080||${host}`)
  const v2 = clusters.get(`outbound|9080|v2|${host}`)
  expect(whole?.lbPolicy).toBe(0)
  expect(whole?.outlierDetection).toBeUndefined()
  expect(v2?.lbPolicy).toBe(3)
  expect(v2?.outlierDetection?.consecutive5xx).toBe(2)
  expect(v2?.circuitBreakers?.thresholds[0]?.maxConnections).toBe(7)
})

test('sidecars use mutual TLS to endpoints that take it, checking the identities of the service', () => {
  const { clusters } = builtFor(services, intercepted)
  const [mesh, plain] = clusters.get(`outbound|9080|v1|${host}`)?.transportSocketMatches ?? []
  expect([mesh?.match, plain?.match]).toEqual([{ tlsMode: 'istio' }, {}])
  const context = UpstreamTlsContext.decode(mesh?.transportSocket?.configType?.value.value ?? Buffer.of())
  expect(context.sni).toBe(`outbound_.9080_.v1_.${host}`)
  expect(context.commonTlsContext?.tlsCertificateSdsSecretConfigs[0]?.name).toBe('default')
  const validation = context.commonTlsContext?.validationContextType
  expect(validation).toMatchObject({
    value: {
      validationContextSdsSecretConfig: { name: 'ROOTCA' },
      defaultValidationContext: {
        matchTypedSubjectAltNames: [{ matcher: { matchPattern: { value: 'spiffe://cluster.local/ns/default/sa/reviews' } } }],
      },
    },
  })
})

test('endpoints are grouped by locality, with weight and what mutual TLS asks about', () => {
  const { endpoints } = builtFor(services, intercepted)
  const groups = endpoints.get(`outbound|9080||${host}`)?.endpoints ?? []
  expect(groups.map(({ locality, lbEndpoints }) => [locality?.zone, lbEndpoints.length])).toEqual([
    ['', 1],
    ['a', 1],
  ])
  const [second] = groups[1]?.lbEndpoints ?? []
  expect(second?.loadBalancingWeight).toBe(3)
  expect(second?.metadata?.filterMetadata['envoy.transport_socket_match']).toEqual({ tlsMode: 'istio' })
  expect(groups[0]?.lbEndpoints[0]?.metadata?.filterMetadata['envoy.transport_socket_match']).toBeUndefined()
  expect(endpoints.get(`outbound|9080|v2|${host}`)?.endpoints[0]?.lbEndpoints).toHaveLength(1)
})

test('PeerAuthentication DISABLE at the endpoint makes clients speak plaintext to it', () => {
  const policy =
    'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: off }\nspec: { mtls: { mode: DISABLE } }\n'
  const { endpoints } = builtFor(services + policy, intercepted)
  const metadata = endpoints.get(`outbound|9080|v1|${host}`)?.endpoints[0]?.lbEndpoints[0]?.metadata?.filterMetadata ?? {}
  expect(metadata).not.toHaveProperty(['envoy.transport_socket_match'])
})

test('caught connections share one listener and route a port for HTTP; TCP services have one at their address', () => {
  const { listeners, routes } = builtFor(services, intercepted)
  expect([...listeners.keys()].sort()).toEqual(['0.0.0.0_9080', '10.0.0.2_5432', 'virtualInbound', 'virtualOutbound'])
  expect(listeners.get('0.0.0.0_9080')?.bindToPort).toBe(false)
  expect(httpOf(listeners.get('0.0.0.0_9080')?.filterChains[0]).routeSpecifier).toMatchObject({
    value: { routeConfigName: '9080' },
  })
  expect(tcpOf(listeners.get('10.0.0.2_5432')?.filterChains[0]).clusterSpecifier).toMatchObject({
    value: 'outbound|5432||db.default.svc.cluster.local',
  })
  const hosts = routes.get('9080')?.virtualHosts ?? []
  expect(hosts.map(({ name }) => name)).toEqual([`${host}:9080`, 'allow_any'])
  expect(hosts[0]?.domains).toEqual(
    [host, 'reviews.default.svc', 'reviews.default', 'reviews', '10.0.0.1'].flatMap((name) => [name, `${name}:9080`]),
  )
})

test('without interception a service has a loopback address of its own, said by the node or found by its hash', () => {
  const { listeners, routes } = builtFor(services, local)
  const found = [...listeners.values()].filter(({ name }) => name.endsWith('_5432'))
  expect(listeners.get('127.1.1.17_9080')?.bindToPort).toBeUndefined()
  expect(found[0]?.name).toMatch(/^127\.1\.1\.\d+_5432$/)
  expect(routes.get(`${host}:9080`)?.virtualHosts.map(({ domains }) => domains)).toEqual([['*']])
})

test('two services whose hashes meet get different addresses', () => {
  const many = Array.from(
    { length: 200 },
    (_, index) =>
      `apiVersion: v1\nkind: Service\nmetadata: { name: s${index} }\nspec: { ports: [{ name: http, port: 80 }] }\n---\n`,
  )
  const { listeners } = builtFor(many.join(''), local)
  expect(listeners.size).toBe(200)
})

test('matches, weights, timeout, retries, fault and headers of a VirtualService become its routes, in order', () => {
  const http = `
    - match: [{ uri: { prefix: /old }, headers: { end-user: { exact: jason } } }]
      rewrite: { uri: / }
      timeout: 5s
      retries: { attempts: 3, perTryTimeout: 2s, retryOn: "5xx,409" }
      fault: { delay: { percentage: { value: 0.5 }, fixedDelay: 7s }, abort: { httpStatus: 500, percentage: { value: 100 } } }
      headers: { request: { set: { x-a: b, host: other.example.com }, remove: [x-c] } }
      route: [{ destination: { host: reviews, subset: v2 } }]
    - route:
        - { destination: { host: reviews, subset: v1 }, weight: 80 }
        - { destination: { host: reviews, subset: v2 }, weight: 20 }
        - { destination: { host: db }, weight: 0 }
    - route: [{ destination: { host: db } }]`
  const routes = routesOf(builtFor(services + virtualService(http), intercepted), '9080')
  expect(routes.map(targetOf)).toEqual([`outbound|9080|v2|${host}`, `outbound|9080|v1|${host}=80 outbound|9080|v2|${host}=20`])
  const [first, second] = routes
  expect(first?.match).toMatchObject({
    pathSpecifier: { $case: 'prefix', value: '/old' },
    headers: [{ name: 'end-user', headerMatchSpecifier: { value: { matchPattern: { $case: 'exact', value: 'jason' } } } }],
  })
  expect(first?.requestHeadersToAdd).toMatchObject([{ header: { key: 'x-a', value: 'b' }, appendAction: 2 }])
  expect(first?.requestHeadersToRemove).toEqual(['x-c'])
  expect(first?.action).toMatchObject({
    value: {
      timeout: { seconds: 5 },
      regexRewrite: { pattern: { regex: '^/old(/?)(.*)' }, substitution: '/\\2' },
      hostRewriteSpecifier: { value: 'other.example.com' },
      retryPolicy: {
        numRetries: 3,
        retryOn: '5xx,retriable-status-codes',
        retriableStatusCodes: [409],
        perTryTimeout: { seconds: 2 },
      },
    },
  })
  const fault = HTTPFault.decode(first?.typedPerFilterConfig['envoy.filters.http.fault']?.value ?? Buffer.of())
  expect(fault.delay?.percentage).toEqual({ numerator: 5_000, denominator: 2 })
  expect(fault.abort?.errorType).toEqual({ $case: 'httpStatus', value: 500 })
  expect(second?.action).toMatchObject({
    value: { timeout: { seconds: 0 }, retryPolicy: { numRetries: 2, retriableStatusCodes: [503] } },
  })
})

test("a match that names another gateway, port or the labels of another source doesn't hold", () => {
  const http = `
    - match: [{ gateways: [ns/other], uri: { exact: /a } }, { port: 1, uri: { exact: /b } }, { sourceLabels: { app: x }, uri: { exact: /c } }]
      route: [{ destination: { host: db } }]
    - match: [{ sourceLabels: { app: web }, uri: { exact: /d } }]
      directResponse: { status: 418, body: { string: tea } }
    - redirect: { authority: elsewhere.example.com, redirectCode: 302 }`
  const built = builtFor(services + virtualService(http), nodeOf('sidecar', { LABELS: { app: 'web' } }))
  expect(routesOf(built, '9080').map(targetOf)).toEqual(['status 418', 'redirect elsewhere.example.com'])
})

test('inbound: STRICT has only the TLS of the mesh, PERMISSIVE both, DISABLE only plaintext', () => {
  const beside = nodeOf(
    'sidecar',
    { INTERCEPTION_MODE: 'NONE', LOOPBACK: { prefix: '127.1.2', app: '127.1.2.2', services: {} } },
    '127.1.2.1',
  )
  const chainsUnder = (mode: string) => {
    const policy = `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: p }\nspec: { mtls: { mode: ${mode} } }\n`
    const listener = builtFor(services + policy, beside).listeners.get('127.1.2.1_9080')
    const chains = listener?.filterChains.map(({ filterChainMatch, transportSocket }) => [
      filterChainMatch?.transportProtocol,
      transportSocket !== undefined,
    ])
    return { chains, inspectors: listener?.listenerFilters.map(({ name }) => name.split('.').at(-1)) }
  }
  expect(chainsUnder('STRICT')).toEqual({ chains: [['tls', true]], inspectors: ['tls_inspector'] })
  expect(chainsUnder('PERMISSIVE')).toEqual({
    chains: [
      ['tls', true],
      ['raw_buffer', false],
    ],
    inspectors: ['tls_inspector'],
  })
  expect(chainsUnder('DISABLE')).toEqual({ chains: [['', false]], inspectors: [] })
  const { clusters } = builtFor(services, beside)
  const address = clusters.get('inbound|9080||')?.loadAssignment?.endpoints[0]?.lbEndpoints[0]?.hostIdentifier
  expect(address).toMatchObject({
    value: { address: { address: { value: { address: '127.1.2.2', portSpecifier: { value: 9080 } } } } },
  })
})

const gateway = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front }
spec:
  selector: { istio: ingressgateway }
  servers:
    - { port: { number: 8080, name: http, protocol: HTTP }, hosts: ["*"] }
    - { port: { number: 8443, name: https, protocol: HTTPS }, hosts: [a.example.com], tls: { mode: SIMPLE, credentialName: front } }
    - { port: { number: 8443, name: pass, protocol: TLS }, hosts: [b.example.com], tls: { mode: PASSTHROUGH } }
    - { port: { number: 9000, name: tcp, protocol: TCP }, hosts: ["*"] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: front }
spec:
  hosts: ["*"]
  gateways: [front]
  http: [{ match: [{ uri: { exact: /productpage } }], route: [{ destination: { host: reviews, port: { number: 9080 } } }] }]
  tcp: [{ match: [{ port: 9000 }], route: [{ destination: { host: db } }] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: passthrough }
spec:
  hosts: [b.example.com]
  gateways: [front]
  tls: [{ match: [{ port: 8443, sniHosts: [b.example.com] }], route: [{ destination: { host: db } }] }]
---
`

test("a gateway's servers become listeners and routes: HTTP, TLS ended, passed through by name, TCP", () => {
  const router = nodeOf('router', { NAMESPACE: 'istio-system', LABELS: { istio: 'ingressgateway' } })
  const { listeners, routes } = builtFor(services + gateway, router)
  expect([...listeners.keys()].sort()).toEqual(['0.0.0.0_8080', '0.0.0.0_8443', '0.0.0.0_9000'])
  expect([...routes.keys()].sort()).toEqual(['http.8080', 'https.8443.https.front.default'])
  const [page] = routes.get('http.8080')?.virtualHosts ?? []
  expect([page?.name, page?.routes.map(targetOf)]).toEqual(['*:8080', [`outbound|9080||${host}`]])
  const tls = listeners.get('0.0.0.0_8443')?.filterChains ?? []
  expect(
    tls.map(({ filterChainMatch, transportSocket }) => [filterChainMatch?.serverNames, transportSocket !== undefined]),
  ).toEqual([
    [['a.example.com'], true],
    [['b.example.com'], false],
  ])
  expect(tcpOf(tls[1]).clusterSpecifier?.value).toBe('outbound|5432||db.default.svc.cluster.local')
  expect(tcpOf(listeners.get('0.0.0.0_9000')?.filterChains[0]).clusterSpecifier?.value).toBe(
    'outbound|5432||db.default.svc.cluster.local',
  )
  expect(httpOf(listeners.get('0.0.0.0_8080')?.filterChains[0]).useRemoteAddress).toBe(true)
})

test('a router of a local mesh binds where its node says, and keeps the names of its routes', () => {
  const metadata = { LABELS: { istio: 'ingressgateway' }, LOOPBACK: { bind: '127.0.0.1', ports: { '8080': 18080 } } }
  const { listeners, routes } = builtFor(services + gateway, nodeOf('router', metadata))
  expect(listeners.get('127.0.0.1_18080')?.address?.address).toMatchObject({
    value: { address: '127.0.0.1', portSpecifier: { value: 18080 } },
  })
  expect(routes.has('http.8080')).toBe(true)
})

const mesh = {
  ...defaultMeshSettings,
  mixerCheckServer: 'mixer.istio-system.svc.cluster.local:9091',
  mixerReportServer: 'mixer.istio-system.svc.cluster.local:9091',
}
const mixerRules = (match: string): string => `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: deny, namespace: istio-system }
spec: { match: '${match}', actions: [{ handler: denyall.denier, instances: [denyrequest.checknothing] }] }
---
apiVersion: config.istio.io/v1alpha2
kind: QuotaSpec
metadata: { name: count, namespace: istio-system }
spec: { rules: [{ quotas: [{ quota: requestcount, charge: 2 }] }] }
---
apiVersion: config.istio.io/v1alpha2
kind: QuotaSpecBinding
metadata: { name: count, namespace: istio-system }
spec: { quotaSpecs: [{ name: count, namespace: istio-system }], services: [{ name: reviews, namespace: default }] }
---
`

function mixerOf(built: Built): HttpClientConfig | undefined {
  const filter = httpOf(built.listeners.get('127.1.2.1_9080')?.filterChains[0]).httpFilters.find(({ name }) => name === 'mixer')
  return filter?.configType?.$case === 'typedConfig' ? HttpClientConfig.decode(filter.configType.value.value) : undefined
}

test('the Mixer filter is for our own proxies alone, and calls only where some rule can match', () => {
  const metadata = { INTERCEPTION_MODE: 'NONE', LABELS: { app: 'reviews' }, LOOPBACK: { prefix: '127.1.2', app: '127.1.2.2' } }
  const ours = nodeOf('sidecar', { ...metadata, WEFT_PROXY: true }, '127.1.2.1')
  const envoy = nodeOf('sidecar', metadata, '127.1.2.1')
  const matching = services + mixerRules('destination.labels["app"] == "reviews" && request.path == "/x"')
  expect(mixerOf(builtFor(matching, envoy, mesh))).toBeUndefined()
  const config = mixerOf(builtFor(matching, ours, mesh))
  expect(config?.transport?.checkCluster).toBe('outbound|9091||mixer.istio-system.svc.cluster.local')
  expect(config?.mixerAttributes?.attributes['destination.labels']?.value).toMatchObject({
    value: { entries: { app: 'reviews' } },
  })
  expect(config?.serviceConfigs[host]).toMatchObject({
    disableCheckCalls: false,
    disableReportCalls: true,
    quotaSpec: [{ rules: [{ quotas: [{ quota: 'requestcount', charge: 2 }] }] }],
  })
  const other = services + mixerRules('destination.service.host == "ratings.default.svc.cluster.local"')
  expect(mixerOf(builtFor(other, ours, mesh))?.serviceConfigs[host]?.disableCheckCalls).toBe(true)
})

test('a port that is no HTTP has the Mixer filter of TCP, behind authorization and before the connection goes on', () => {
  const metadata = { INTERCEPTION_MODE: 'NONE', LABELS: { app: 'db' }, LOOPBACK: { prefix: '127.1.4', app: '127.1.4.2' } }
  const db = services.concat(`
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: db-v1 }
spec: { address: 127.1.4.1, ports: { tcp: 5432 }, labels: { app: db }, serviceAccount: db }
---
`)
  const built = builtFor(
    db + mixerRules('destination.labels["app"] == "db"'),
    nodeOf('sidecar', { ...metadata, WEFT_PROXY: true }, '127.1.4.1'),
    mesh,
  )
  const filters = built.listeners.get('127.1.4.1_5432')?.filterChains.at(-1)?.filters ?? []
  expect(filters.map(({ name }) => name)).toEqual(['mixer', 'envoy.filters.network.tcp_proxy'])
  const [filter] = filters
  const config = filter?.configType?.$case === 'typedConfig' ? TcpClientConfig.decode(filter.configType.value.value) : undefined
  expect(config).toMatchObject({ disableCheckCalls: false, disableReportCalls: true })
  expect(config?.mixerAttributes?.attributes['destination.service.host']?.value).toMatchObject({
    value: 'db.default.svc.cluster.local',
  })
})

test('what did not change is the very object it was: an endpoint that moves touches only its own assignments', () => {
  const { snapshots, set } = snapshotsOf(services)
  const builder = new Builder()
  builder.begin(snapshots.current, undefined)
  const before = builder.build(scopeOf(snapshots.current, intercepted))
  const builtBefore = builder.built()
  let changes: Parameters<Builder['begin']>[1]
  snapshots.subscribe((update) => {
    changes = update.changes
  })
  const moved = set(services.replace('127.1.3.1', '127.1.4.1'))
  builder.begin(moved, changes)
  const after = builder.build(scopeOf(moved, intercepted), before)
  for (const type of [typeUrls.cluster, typeUrls.listener, typeUrls.route]) {
    expect(after.resources.get(type)).toBe(before.resources.get(type))
  }
  const endpoints = after.resources.get(typeUrls.endpoint)
  const old = before.resources.get(typeUrls.endpoint)
  expect(
    endpoints
      ?.since(old!)
      .changed.map(({ name }) => name)
      .sort(),
  ).toEqual([`outbound|9080|v2|${host}`, `outbound|9080||${host}`])
  expect(builder.built()['cluster']).toBe(builtBefore['cluster'])
})

test('proxies that see the same share the same sets', () => {
  const { snapshots } = snapshotsOf(services)
  const builder = new Builder()
  builder.begin(snapshots.current, undefined)
  const [one, two] = ['127.1.7.1', '127.1.8.1'].map((ip) => builder.build(scopeOf(snapshots.current, nodeOf('sidecar', {}, ip))))
  expect(one?.resources.get(typeUrls.cluster)).toBe(two?.resources.get(typeUrls.cluster))
  expect(one?.resources.get(typeUrls.endpoint)).toBe(two?.resources.get(typeUrls.endpoint))
})

test('connections of both families are caught where the machine has both, of IPv6 alone where it has no other', () => {
  const hosts = (ip: string, more: string) => {
    const { listeners } = builtFor(services, nodeOf('sidecar', { INSTANCE_IPS: more }, ip))
    return ['virtualOutbound', 'virtualInbound', '0.0.0.0_9080'].map((name) => {
      const { address, additionalAddresses = [] } = listeners.get(name) ?? {}
      return [address, ...additionalAddresses.map((one) => one.address)].map((one) =>
        one?.address?.$case === 'socketAddress' ? one.address.value.address : undefined,
      )
    })
  }
  expect(hosts('10.0.0.9', '10.0.0.9')).toEqual(Array(3).fill(['0.0.0.0']))
  expect(hosts('10.0.0.9', '10.0.0.9,fd00::9')).toEqual(Array(3).fill(['0.0.0.0', '::']))
  expect(hosts('fd00::9', '')).toEqual(Array(3).fill(['::']))
})
