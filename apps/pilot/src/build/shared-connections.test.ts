import { DownstreamTlsContext, UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { HttpProtocolOptions } from '@weft/contracts/envoy/extensions/upstreams/http/v3/http_protocol_options'
import { describe, expect, test } from 'vitest'
import { defaultMeshSettings } from '../model/mesh-settings.ts'
import { type Built, builtFor, nodeOf } from '../testing/built-for.ts'

const services = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }, { name: grpc, port: 81 }, { name: tcp, port: 82 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: web, labels: { security.istio.io/tlsMode: istio } }
spec: { address: 127.1.1.1, labels: { app: web, security.istio.io/tlsMode: istio }, serviceAccount: web }
---
`
const rule = (http: string): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web }
spec: { host: web, trafficPolicy: { connectionPool: { http: { ${http} } } } }
`
const ours = nodeOf('sidecar', { WEFT_PROXY: true, LABELS: { app: 'web' } })
const envoys = nodeOf('sidecar', { LABELS: { app: 'web' } })

function offered(built: Built, port: number): string[] | undefined {
  const socket = built.clusters.get(`outbound|${port}||web.default.svc.cluster.local`)?.transportSocketMatches[0]?.transportSocket
  return UpstreamTlsContext.decode(socket?.configType?.value.value ?? Buffer.of()).commonTlsContext?.alpnProtocols
}

function served(built: Built, port: number): string[] | undefined {
  const chains = built.listeners.get('virtualInbound')?.filterChains ?? []
  const chain = chains.find(
    ({ filterChainMatch, transportSocket }) => filterChainMatch?.destinationPort === port && transportSocket !== undefined,
  )
  return DownstreamTlsContext.decode(chain?.transportSocket?.configType?.value.value ?? Buffer.of()).commonTlsContext
    ?.alpnProtocols
}

function protocolOf(built: Built, port: number): string | undefined {
  const any = built.clusters.get(`outbound|${port}||web.default.svc.cluster.local`)?.typedExtensionProtocolOptions[
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
  ]
  if (any === undefined) return undefined
  const choice = HttpProtocolOptions.decode(any.value).upstreamProtocolOptions
  return choice?.$case === 'explicitHttpConfig' ? choice.value.protocolConfig?.$case : choice?.$case
}

describe('requests share connections between our sidecars', () => {
  test('by an application protocol that both sides name, of HTTP ports alone', () => {
    const built = builtFor(services, ours)
    expect(offered(built, 80)).toEqual(['weft-h2', 'istio', 'http/1.1'])
    expect(offered(built, 81)).toEqual(['weft-h2', 'istio', 'h2'])
    expect(offered(built, 82)).toEqual(['istio'])
    expect(served(built, 80)).toEqual(['weft-h2', 'h2', 'http/1.1'])
    expect(served(built, 82)).not.toContain('weft-h2')
    // What the connection carries by its own choice stays HTTP/1.1 in the configuration.
    expect(protocolOf(built, 80)).toBeUndefined()
  })

  test('and never where a proxy is Envoy', () => {
    const built = builtFor(services, envoys)
    expect(offered(built, 80)).toEqual(['istio', 'http/1.1'])
    expect(offered(built, 81)).toEqual(['istio', 'h2'])
    expect(served(built, 80)).toEqual(['h2', 'http/1.1'])
  })

  test.each(['h2UpgradePolicy: DO_NOT_UPGRADE', 'useClientProtocol: true'])('not where a DestinationRule says %s', (http) => {
    expect(offered(builtFor(services + rule(http), ours), 80)).toEqual(['istio', 'http/1.1'])
  })
})

describe('h2UpgradePolicy', () => {
  test('of a DestinationRule makes HTTP/2 of HTTP ports, whoever the peer is', () => {
    const built = builtFor(services + rule('h2UpgradePolicy: UPGRADE'), envoys)
    expect(offered(built, 80)).toEqual(['istio', 'h2'])
    expect(protocolOf(built, 80)).toBe('http2ProtocolOptions')
    expect(protocolOf(built, 82)).not.toBe('http2ProtocolOptions')
  })

  test('of the mesh holds where no rule says otherwise', () => {
    const mesh = { ...defaultMeshSettings, upgradesToHttp2: true }
    expect(protocolOf(builtFor(services, envoys, mesh), 80)).toBe('http2ProtocolOptions')
    expect(protocolOf(builtFor(services + rule('h2UpgradePolicy: DO_NOT_UPGRADE'), envoys, mesh), 80)).toBeUndefined()
  })
})
