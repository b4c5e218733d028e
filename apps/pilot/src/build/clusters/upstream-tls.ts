import { type Cluster, Cluster_TransportSocketMatch } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import {
  ClientTLSSettings_TLSmode as ClientMode,
  type ClientTLSSettings,
} from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import { clientSocket, meshUpstreamSocket, peerExchange, plaintextSocket, type SystemRoots, sharedHttp } from '../tls/contexts.ts'

export interface UpstreamTls {
  readonly settings: ClientTLSSettings | undefined
  /** Mutual TLS towards endpoints that take it, where no settings are stated. */
  readonly automatic: boolean
  /** The mesh's name for this cluster's server, and the identities it may have. */
  readonly serverName: string
  readonly identities: readonly string[]
  /** The host itself, for TLS that is not the mesh's. */
  readonly host: string
  readonly http: boolean
  readonly http2: boolean
  /** Connections that carry no HTTP begin with who is at their ends, where the server agrees. */
  readonly exchangesPeers: boolean
  /** Requests may share connections with a sidecar that is ours too. */
  readonly shares: boolean
  readonly systemRoots: SystemRoots
  readonly mesh: MeshSettings
}

/** TLS towards a cluster's endpoints: as a DestinationRule states it, or to those that are known to take the mesh's. */
export function applyUpstreamTls(cluster: Cluster, tls: UpstreamTls): void {
  if (tls.settings === undefined) {
    if (!tls.automatic) return
    cluster.transportSocketMatches = [
      Cluster_TransportSocketMatch.fromPartial({
        name: 'tlsMode-istio',
        match: { tlsMode: 'istio' },
        transportSocket: meshUpstreamSocket(tls.serverName, tls.identities, meshAlpn(tls)),
      }),
      Cluster_TransportSocketMatch.fromPartial({ name: 'tlsMode-disabled', match: {}, transportSocket: plaintextSocket() }),
    ]
    return
  }
  if (tls.settings.mode === ClientMode.ISTIO_MUTUAL) {
    const { subjectAltNames, sni } = tls.settings
    cluster.transportSocket = meshUpstreamSocket(
      sni === '' ? tls.serverName : sni,
      subjectAltNames.length > 0 ? subjectAltNames : tls.identities,
      meshAlpn(tls),
    )
    return
  }
  // A wildcard host is no server name.
  const serverName = tls.host.includes('*') ? '' : tls.host
  const alpn = tls.http2 ? ['h2'] : tls.http ? ['http/1.1'] : []
  cluster.transportSocket = clientSocket(tls.settings, serverName, alpn, tls)
}

function meshAlpn({ http, http2, shares, exchangesPeers }: UpstreamTls): readonly string[] {
  const shared = shares ? [sharedHttp] : []
  if (http2) return [...shared, 'istio', 'h2']
  if (http) return [...shared, 'istio', 'http/1.1']
  return exchangesPeers ? [peerExchange, 'istio'] : ['istio']
}
