import type { TypedObject } from '@weft/config/objects'
import type { Destination } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import type { Change } from '../model/change.ts'
import type { OutboundTrafficPolicy } from '../model/mesh-settings.ts'
import type { ProxySettings } from '../model/proxy-settings.ts'
import type { Service, ServicePort } from '../model/service.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Endpoint, Workload } from '../model/workload.ts'
import type { ProxyNode } from './proxy-node.ts'

/** What traffic that leaves a sidecar may reach through one (possibly implied) egress listener of its Sidecar. */
export interface EgressScope {
  /** The egress listener's own port and bind; undefined for the one that takes all the rest. */
  readonly port: { number: number; protocol: string; name: string } | undefined
  readonly bind: string
  readonly captureMode: 'DEFAULT' | 'IPTABLES' | 'NONE'
  readonly services: readonly Service[]
  /** Those that bind to the `mesh` gateway, in precedence order. */
  readonly virtualServices: readonly TypedObject<'VirtualService'>[]
}

/** One port of the workload beside a sidecar, as a service leads there. */
export interface Instance {
  readonly service: Service
  readonly port: ServicePort
  readonly endpoint: Endpoint
}

/** One server of a Gateway that selects this router, with the VirtualServices bound to it. */
export interface GatewayServer {
  readonly gateway: TypedObject<'Gateway'>
  /** Index in `gateway.spec.servers`. */
  readonly index: number
  readonly virtualServices: readonly TypedObject<'VirtualService'>[]
}

export type MtlsMode = 'DISABLE' | 'PERMISSIVE' | 'STRICT'

/** What one proxy sees of a snapshot. Proxies whose `key` is equal see the same and may share what is built. */
export interface Scope {
  readonly snapshot: Snapshot
  readonly proxy: ProxyNode
  /**
   * Equal for proxies that see the same outbound side (namespace, Sidecar, labels where DestinationRules or
   * VirtualServices ask for them); it says nothing about the inbound side.
   */
  readonly key: string

  /** All services this proxy can reach (union of `egress`; for a router all that are exported to it). */
  readonly services: readonly Service[]
  readonly egress: readonly EgressScope[]
  readonly outboundTrafficPolicy: OutboundTrafficPolicy
  /** Where a Sidecar sends what it lets through and no service is known for; undefined: to where it was going. */
  readonly egressProxy: Destination | undefined
  /** The proxy's ProxyConfig, over the mesh's. */
  readonly settings: ProxySettings

  /** Router only: servers of the Gateways that select it. */
  readonly gatewayServers: readonly GatewayServer[]

  /** Sidecar only: the workload it stands beside, its Sidecar object, its service instances, in port order. */
  readonly workload: Workload | undefined
  /** The proxy's labels, else those of its workload. */
  readonly labels: Readonly<Record<string, string>>
  readonly sidecar: TypedObject<'Sidecar'> | undefined
  readonly instances: readonly Instance[]

  /** The service that a host names for this proxy: its own namespace's first, then the oldest. */
  service(host: string): Service | undefined
  /** The DestinationRule for a host: client namespace, then the service's, then the root's; most specific host. */
  destinationRule(host: string): TypedObject<'DestinationRule'> | undefined
  /** The mode of PeerAuthentication that holds at this proxy's workload for a port (workload > namespace > mesh). */
  inboundMtls(port: number): MtlsMode

  /** True when a change can alter what is built for this proxy. */
  dependsOn(change: Change): boolean
}
