import type { Server } from '@weft/contracts/istio/networking/v1alpha3/gateway'
import { ServerTLSSettings_TLSmode as ServerMode } from '@weft/contracts/istio/networking/v1alpha3/gateway'
import { instancesOf } from '../../scope/instances.ts'
import type { GatewayServer, Scope } from '../../scope/scope.ts'

/** What a Gateway's server does with connections. */
type ServerKind = 'http' | 'https' | 'tls-terminated' | 'passthrough' | 'tcp'

export interface KnownServer {
  readonly gatewayServer: GatewayServer
  readonly server: Server
  readonly kind: ServerKind
  /** `namespace/name` of the Gateway, as VirtualServices name it. */
  readonly gateway: string
  /** The route configuration of its requests; empty where there are none. */
  readonly routeName: string
  /** The port as the Gateway names it. */
  readonly port: number
}

/** All servers that share one address and port: one listener. */
export interface GatewayPort {
  readonly bind: string
  /** The port that is bound; several of the Gateways' ports may lead to it. */
  readonly boundPort: number
  readonly servers: readonly KnownServer[]
}

/** The listeners-to-be of a router, each with its servers in order of their Gateways. */
export function gatewayPorts(scope: Scope): GatewayPort[] {
  const ports = new Map<string, { bind: string; boundPort: number; servers: KnownServer[] }>()
  for (const gatewayServer of scope.gatewayServers) {
    const server = gatewayServer.gateway.spec.servers[gatewayServer.index]
    const number = server?.port?.number
    if (server === undefined || number === undefined) continue
    const place = boundAt(server, number, scope)
    const key = `${place.bind}_${place.boundPort}`
    const known = ports.get(key) ?? { ...place, servers: [] }
    ports.set(key, known)
    const { metadata } = gatewayServer.gateway
    const kind = kindOf(server)
    const first = known.servers[0]
    // A port speaks plain HTTP or something else; the server that came first decides.
    if (first !== undefined && (first.kind === 'http') !== (kind === 'http')) continue
    known.servers.push({
      gatewayServer,
      server,
      kind,
      gateway: `${metadata.namespace}/${metadata.name}`,
      routeName: routeName(server, kind, place.boundPort, number, metadata, scope),
      port: number,
    })
  }
  return [...ports.values()]
}

function boundAt(server: Server, number: number, scope: Scope): { bind: string; boundPort: number } {
  const { loopback } = scope.proxy
  if (loopback?.type === 'router') {
    return { bind: server.bind === '' ? loopback.bind : server.bind, boundPort: loopback.ports[String(number)] ?? number }
  }
  return { bind: server.bind === '' ? '0.0.0.0' : server.bind, boundPort: targetPort(number, scope) }
}

/** Gateways name the port of the service in front of the router; what is bound is where that service leads. */
function targetPort(number: number, scope: Scope): number {
  const instance = instancesOf(scope.snapshot, scope.proxy).find(
    ({ port, service }) => port.number === number && service.labels[untranslated] !== 'true',
  )
  return instance?.endpoint.port ?? number
}

/** Istio's label of a service whose ports a Gateway does not mean. */
const untranslated = 'experimental.istio.io/disable-gateway-port-translation'

function kindOf(server: Server): ServerKind {
  const protocol = server.port?.protocol.toUpperCase() ?? ''
  const mode = server.tls?.mode
  if (protocol === 'HTTP' || protocol === 'HTTP2' || protocol === 'GRPC' || protocol === 'GRPC-WEB') return 'http'
  const passthrough = mode === ServerMode.PASSTHROUGH || mode === ServerMode.AUTO_PASSTHROUGH
  if (protocol === 'HTTPS') return passthrough ? 'passthrough' : 'https'
  if (protocol === 'TLS') return server.tls === undefined || passthrough ? 'passthrough' : 'tls-terminated'
  return server.tls === undefined || passthrough ? 'tcp' : 'tls-terminated'
}

/** `http.8080`, or `https.443.name.gateway.namespace`: each TLS server has its own. */
function routeName(
  server: Server,
  kind: ServerKind,
  boundPort: number,
  port: number,
  metadata: { name: string; namespace: string },
  scope: Scope,
): string {
  // Where the port is only moved to a free one of this machine, the name stays what it is elsewhere.
  const number = scope.proxy.loopback === undefined ? boundPort : port
  if (kind === 'http') return `http.${number}`
  return kind === 'https' ? `https.${number}.${server.port?.name ?? ''}.${metadata.name}.${metadata.namespace}` : ''
}
