import { readMeshConfig } from '@weft/config/mesh-config'
import { OpenTelemetryConfig } from '@weft/contracts/envoy/config/trace/v3/opentelemetry'
import { ZipkinConfig } from '@weft/contracts/envoy/config/trace/v3/zipkin'
import { Router } from '@weft/contracts/envoy/extensions/filters/http/router/v3/router'
import {
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  type HttpConnectionManager,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { DownstreamTlsContext, UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { expect, test } from 'vitest'
import { defaultMeshSettings, type MeshSettings, meshSettings } from '../model/mesh-settings.ts'
import { builtFor, httpOf, nodeOf, tcpOf } from '../testing/built-for.ts'
import { envoyBinary, validateWithEnvoy } from '../testing/real-envoy.ts'
import { staticBootstrap } from '../testing/static-bootstrap.ts'

const services = `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { selector: { app: reviews }, clusterIP: 10.0.0.1, ports: [{ name: http, port: 9080 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: reviews-v1 }
spec: { address: 127.1.2.1, ports: { http: 9080 }, labels: { app: reviews, version: v1 }, serviceAccount: reviews }
---
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { selector: { app: db }, clusterIP: 10.0.0.2, ports: [{ name: tcp, port: 5432 }] }
---
apiVersion: v1
kind: Service
metadata: { name: collector, namespace: istio-system }
spec: { selector: { app: collector }, ports: [{ name: grpc, port: 4317 }, { name: http, port: 9411 }] }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: front }
spec: { hosts: ['*'], gateways: [front], http: [{ route: [{ destination: { host: reviews } }] }] }
---
`
const mesh = (yaml: string): MeshSettings => meshSettings(readMeshConfig(yaml, 'mesh.yaml'), defaultMeshSettings)
const workload = { LABELS: { app: 'reviews', version: 'v1' } }
const gateway = { LABELS: { istio: 'ingressgateway' } }

/** The connection managers of a proxy: of the reviews workload's sidecar, inbound and outbound, and of a gateway. */
function managers(yaml: string, proxyConfig: Record<string, unknown> | undefined = undefined) {
  const more = proxyConfig === undefined ? {} : { PROXY_CONFIG: proxyConfig }
  const settings = mesh(yaml)
  const sidecar = builtFor(services, nodeOf('sidecar', { ...workload, ...more }, '127.1.2.1'), settings)
  const router = builtFor(services, nodeOf('router', { ...gateway, ...more }), settings)
  const inbound = sidecar.listeners.get('virtualInbound')?.filterChains.find(({ name }) => name === '0.0.0.0_9080')
  return {
    inbound: httpOf(inbound),
    outbound: httpOf(sidecar.listeners.get('0.0.0.0_9080')?.filterChains[0]),
    gateway: httpOf(router.listeners.get('0.0.0.0_80')?.filterChains[0]),
    sidecar,
    router,
  }
}

function routerOf({ httpFilters }: HttpConnectionManager): Router {
  const config = httpFilters.at(-1)?.configType
  return Router.decode(config?.$case === 'typedConfig' ? config.value.value : Buffer.of())
}

test("without a word headers are Istio's", () => {
  const { inbound, outbound, gateway: front } = managers('')
  expect([inbound, outbound, front].map(({ serverName }) => serverName)).toEqual(['istio-envoy', '', 'istio-envoy'])
  expect(front).toMatchObject({ xffNumTrustedHops: 0, forwardClientCertDetails: ForwardClientCert.SANITIZE })
  expect(inbound).toMatchObject({ forwardClientCertDetails: ForwardClientCert.APPEND_FORWARD, tracing: undefined })
})

test.each(['of the mesh', 'of the proxy'])('gatewayTopology and proxyHeaders %s hold', (whose) => {
  const config = {
    gatewayTopology: { numTrustedProxies: 2, forwardClientCertDetails: 'APPEND_FORWARD', proxyProtocol: {} },
    proxyHeaders: {
      server: { value: 'shop' },
      requestId: { disabled: true },
      attemptCount: { disabled: true },
      envoyDebugHeaders: { disabled: true },
      setCurrentClientCertDetails: { subject: false, cert: true },
    },
  }
  const yaml = whose === 'of the mesh' ? JSON.stringify({ defaultConfig: config }) : ''
  const built = managers(yaml, whose === 'of the mesh' ? undefined : config)
  expect(built.gateway).toMatchObject({
    serverName: 'shop',
    xffNumTrustedHops: 2,
    forwardClientCertDetails: ForwardClientCert.APPEND_FORWARD,
    generateRequestId: false,
  })
  expect(built.inbound).toMatchObject({ serverName: 'shop', xffNumTrustedHops: 0 })
  expect(built.inbound.setCurrentClientCertDetails).toMatchObject({ subject: false, cert: true, uri: true })
  expect(routerOf(built.outbound).suppressEnvoyHeaders).toBe(true)
  const listener = built.router.listeners.get('0.0.0.0_80')
  expect(listener?.listenerFilters.map(({ name }) => name)).toEqual(['envoy.filters.listener.proxy_protocol'])
  const routes = [...built.sidecar.routes.values(), ...built.router.routes.values()]
  expect(routes.flatMap(({ virtualHosts }) => virtualHosts).some((host) => host.includeRequestAttemptCount)).toBe(false)
})

test('the case of headers, the port and the host that were called are told where proxyHeaders asks for it', () => {
  const plain = managers('')
  expect(plain.gateway).toMatchObject({ appendXForwardedPort: false, httpProtocolOptions: undefined })
  const proxyHeaders = { preserveHttp1HeaderCase: true, xForwardedPort: { enabled: true }, xForwardedHost: { enabled: true } }
  const built = managers('', { proxyHeaders })
  for (const manager of [built.inbound, built.outbound, built.gateway]) {
    expect(manager.appendXForwardedPort).toBe(true)
    expect(manager.httpProtocolOptions?.headerKeyFormat?.headerFormat?.$case).toBe('statefulFormatter')
  }
  const routes = (of: typeof built) =>
    [...of.router.routes.values()].flatMap(({ virtualHosts }) => virtualHosts.flatMap((host) => host.routes))
  const tells = (of: typeof built) =>
    routes(of).map(({ action }) => action?.$case === 'route' && action.value.appendXForwardedHost)
  expect([tells(plain), tells(built)]).toEqual([[false], [true]])
  const preserving = ({ clusters }: typeof built.sidecar): string[] =>
    [...clusters.values()]
      .filter((one) => 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions' in one.typedExtensionProtocolOptions)
      .map(({ name }) => name)
  expect(preserving(plain.sidecar)).not.toContain('inbound|9080||')
  expect(preserving(built.sidecar)).toEqual(
    expect.arrayContaining(['inbound|9080||', 'outbound|9080||reviews.default.svc.cluster.local']),
  )
  expect(preserving(built.sidecar)).not.toContain('outbound|5432||db.default.svc.cluster.local')
})

test("a proxy's own ProxyConfig goes before the mesh's", () => {
  const yaml = 'defaultConfig: { gatewayTopology: { numTrustedProxies: 1 } }'
  expect(managers(yaml, { gatewayTopology: { numTrustedProxies: 3 } }).gateway.xffNumTrustedHops).toBe(3)
  expect(managers(yaml, {}).gateway.xffNumTrustedHops).toBe(1)
})

test('a proxy whose ProxyConfig cannot be read is told which field', () => {
  expect(() => nodeOf('router', { PROXY_CONFIG: { gatewayTopology: { numTrustedProxies: -1 } } })).toThrow(
    expect.objectContaining({
      message: expect.stringMatching(/^ProxyConfig: .*>=0/),
      where: { path: 'gatewayTopology.numTrustedProxies' },
    }),
  )
  expect(() => mesh('defaultConfig: { proxyHeaders: { server: { disabled: 7 } } }')).toThrow(
    expect.objectContaining({
      message: expect.stringMatching(/^ProxyConfig: .*boolean/),
      where: { path: 'proxyHeaders.server.disabled' },
    }),
  )
  expect(() => mesh('defaultConfig: { gatewayTopolgy: {} }')).toThrow(/gatewayTopolgy/)
})

const providers = `
extensionProviders:
  - { name: otel, opentelemetry: { service: collector.istio-system.svc.cluster.local, port: 4317, maxTagLength: 40 } }
  - { name: nowhere, opentelemetry: { service: gone.istio-system.svc.cluster.local, port: 4317 } }
`

test("spans go to the mesh's provider of tracing", () => {
  const {
    inbound,
    outbound,
    gateway: front,
  } = managers(
    `${providers}\ndefaultProviders: { tracing: [otel] }\ndefaultConfig: { tracing: { sampling: 42, customTags: { who: { header: { name: x-who, defaultValue: none } } } } }`,
  )
  expect([inbound, outbound, front].map(({ tracing }) => tracing?.spawnUpstreamSpan)).toEqual([false, false, true])
  expect(inbound.tracing).toMatchObject({ randomSampling: { value: 42 }, maxPathTagLength: 40 })
  const tags = new Map(inbound.tracing?.customTags.map(({ tag, type }) => [tag, type?.value]))
  expect(tags.get('istio.canonical_service')).toEqual({ value: 'reviews' })
  expect(tags.get('who')).toEqual({ name: 'x-who', defaultValue: 'none' })
  const config = OpenTelemetryConfig.decode(inbound.tracing?.provider?.configType?.value.value ?? Buffer.of())
  expect(config).toMatchObject({
    serviceName: 'reviews.default',
    grpcService: { targetSpecifier: { value: { clusterName: 'outbound|4317||collector.istio-system.svc.cluster.local' } } },
  })
  expect(managers(`${providers}\ndefaultProviders: { tracing: [nowhere] }`).inbound.tracing).toBeUndefined()
})

test('with enableTracing they go to the collector of ProxyConfig', () => {
  const { outbound } = managers(
    'enableTracing: true\ndefaultConfig: { tracing: { zipkin: { address: "collector.istio-system:9411" } } }',
  )
  expect(outbound.tracing?.randomSampling?.value).toBe(1)
  const config = ZipkinConfig.decode(outbound.tracing?.provider?.configType?.value.value ?? Buffer.of())
  expect(config).toMatchObject({
    collectorCluster: 'outbound|9411||collector.istio-system.svc.cluster.local',
    collectorEndpoint: '/api/v2/spans',
  })
})

test("MeshConfig's ports, names in statistics, keepalive, retries and TLS hold", () => {
  const { clusters, listeners, routes } = builtFor(
    services,
    nodeOf('sidecar', workload, '127.1.2.1'),
    mesh(`
proxyListenPort: 16001
proxyInboundListenPort: 16006
inboundTrafficPolicy: { mode: LOCALHOST }
outboundClusterStatName: 'to-%SERVICE%-%SERVICE_PORT_NAME%'
inboundClusterStatName: 'in-%SERVICE_FQDN%:%SERVICE_PORT%'
tcpKeepalive: { probes: 4, time: 30s }
defaultHttpRetryPolicy: { attempts: 5, retryOn: gateway-error }
meshMTLS: { minProtocolVersion: TLSV1_3, ecdhCurves: [P-256] }
`),
  )
  const portOf = (name: string) => listeners.get(name)?.address?.address?.value
  expect(portOf('virtualOutbound')).toMatchObject({ portSpecifier: { value: 16_001 } })
  expect(portOf('virtualInbound')).toMatchObject({ portSpecifier: { value: 16_006 } })
  const outbound = clusters.get('outbound|9080||reviews.default.svc.cluster.local')
  expect(outbound?.altStatName).toBe('to-reviews.default-http')
  expect(outbound?.upstreamConnectionOptions?.tcpKeepalive).toMatchObject({ keepaliveProbes: 4, keepaliveTime: 30 })
  const inbound = clusters.get('inbound|9080||')
  expect(inbound?.altStatName).toBe('in-reviews.default.svc.cluster.local:9080')
  expect(JSON.stringify(inbound?.loadAssignment)).toContain('"127.0.0.1"')
  const [host] = routes.get('9080')?.virtualHosts ?? []
  expect(host?.routes[0]?.action?.value).toMatchObject({ retryPolicy: { numRetries: 5, retryOn: 'gateway-error' } })
  const chain = listeners.get('virtualInbound')?.filterChains.find(({ transportSocket }) => transportSocket !== undefined)
  const { tlsParams } = DownstreamTlsContext.decode(chain?.transportSocket?.configType?.value.value ?? Buffer.of())
    .commonTlsContext!
  expect(tlsParams).toMatchObject({ tlsMinimumProtocolVersion: 4, ecdhCurves: ['P-256'] })
})

test('tlsDefaults hold for TLS towards servers outside, and verifyCertificateAtClient for their certificates', () => {
  const rule = `${services}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: db }
spec: { host: db, trafficPolicy: { tls: { mode: SIMPLE, caCrl: '' } } }
`
  const contextOf = (yaml: string) => {
    const { clusters } = builtFor(rule, nodeOf('sidecar', {}), mesh(yaml))
    const socket = clusters.get('outbound|5432||db.default.svc.cluster.local')?.transportSocket
    return UpstreamTlsContext.decode(socket?.configType?.value.value ?? Buffer.of()).commonTlsContext
  }
  expect(contextOf('')).toMatchObject({ tlsParams: undefined, validationContextType: { $case: 'validationContext' } })
  expect(contextOf('verifyCertificateAtClient: false')?.validationContextType).toBeUndefined()
  expect(contextOf('tlsDefaults: { minProtocolVersion: TLSV1_2, cipherSuites: [A] }')?.tlsParams).toMatchObject({
    tlsMinimumProtocolVersion: 3,
    cipherSuites: ['A'],
  })
})

test("a DestinationRule's tunnel is that of its one destination", () => {
  const rule = `${services}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: db }
spec: { host: db, trafficPolicy: { tunnel: { protocol: POST, targetHost: 'far.example', targetPort: 443 } } }
`
  const chain = builtFor(rule, nodeOf('sidecar', {})).listeners.get('10.0.0.2_5432')?.filterChains[0]
  expect(tcpOf(chain).tunnelingConfig).toMatchObject({ hostname: 'far.example:443', usePost: true })
  const plain = builtFor(services, nodeOf('sidecar', {})).listeners.get('10.0.0.2_5432')?.filterChains[0]
  expect(tcpOf(plain).tunnelingConfig).toBeUndefined()
})

test("what no service is known for goes to a Sidecar's egressProxy", () => {
  const sidecar = `${services}
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default }
spec:
  egress: [{ hosts: ['*/*'] }]
  outboundTrafficPolicy: { mode: ALLOW_ANY, egressProxy: { host: db.default.svc.cluster.local, port: { number: 5432 } } }
`
  const { listeners, routes } = builtFor(sidecar, nodeOf('sidecar', {}))
  const cluster = 'outbound|5432||db.default.svc.cluster.local'
  const rest = listeners.get('virtualOutbound')?.filterChains.find(({ name }) => name === 'virtualOutbound-catchall-tcp')
  expect(tcpOf(rest).clusterSpecifier?.value).toBe(cluster)
  const allowed = routes.get('9080')?.virtualHosts.find(({ name }) => name === 'allow_any')
  expect(allowed?.routes[0]?.action?.value).toMatchObject({ clusterSpecifier: { value: cluster } })
})

test.skipIf(envoyBinary === undefined)('real Envoy takes all of it (needs WEFT_ENVOY)', async () => {
  const yaml = `${providers}
defaultProviders: { tracing: [otel] }
outboundClusterStatName: 'to-%SERVICE%'
tcpKeepalive: { probes: 4, time: 30s }
meshMTLS: { minProtocolVersion: TLSV1_3, ecdhCurves: [P-256] }
defaultConfig:
  gatewayTopology: { numTrustedProxies: 2, forwardClientCertDetails: SANITIZE_SET, proxyProtocol: {} }
  proxyHeaders: { server: { disabled: true }, requestId: { disabled: true }, envoyDebugHeaders: { disabled: true }, preserveHttp1HeaderCase: true, xForwardedPort: { enabled: true }, xForwardedHost: { enabled: true } }
  tracing: { customTags: { a: { literal: { value: b } }, c: { environment: { name: HOME } } } }
`
  const tunnel = `${services}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: db }
spec: { host: db, trafficPolicy: { tunnel: { targetHost: '::1', targetPort: 443 } } }
`
  for (const node of [nodeOf('sidecar', workload, '127.1.2.1'), nodeOf('router', gateway)])
    expect(await validateWithEnvoy(staticBootstrap(builtFor(tunnel, node, mesh(yaml))))).toBe('')
})
