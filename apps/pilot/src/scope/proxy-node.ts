import type { Locality } from '../model/workload.ts'

/** Where a sidecar that catches nothing transparently listens for each service (see docs/local-mesh.md). */
export type Loopback =
  | {
      type: 'sidecar'
      /** `127.m.i`: the first three octets of the workload's own /24. */
      prefix: string
      /** Where the application listens. */
      app: string
      /** Last octet of the outbound listener of a service, by host. */
      services: Readonly<Record<string, number>>
    }
  | {
      type: 'router'
      bind: string
      /** Port to bind, by the port the Gateway names. */
      ports: Readonly<Record<string, number>>
    }

/** A proxy that asks, as its node id and metadata say. */
export interface ProxyNode {
  /** The whole node id. */
  readonly id: string
  readonly type: 'sidecar' | 'router'
  readonly ip: string
  /** All addresses of the instance (INSTANCE_IPS), the first is `ip`. */
  readonly ips: readonly string[]
  /** `name.namespace` of the id. */
  readonly name: string
  readonly namespace: string
  /** `namespace.svc.cluster.local`. */
  readonly dnsDomain: string
  readonly labels: Readonly<Record<string, string>>
  readonly serviceAccount: string
  readonly workloadName: string
  readonly clusterId: string
  readonly meshId: string
  readonly locality: Locality
  /** Node metadata NETWORK; empty where nothing is said. */
  readonly network: string
  /** Node metadata NODE_NAME: the machine it runs on; empty where nothing is said. */
  readonly nodeName: string
  /** Node metadata AUTO_REGISTER_GROUP: the WorkloadGroup by which it is registered; empty where something else knows it. */
  readonly autoRegisterGroup: string
  readonly interceptionMode: 'REDIRECT' | 'TPROXY' | 'NONE'
  readonly loopback: Loopback | undefined
  /** It is our own proxy: it gets the Mixer filter. Envoy gets none of that. */
  readonly isWeft: boolean
  /** Node metadata GENERATOR: `grpc` for proxyless gRPC clients. */
  readonly generator: string
  /** Its whole metadata, by which EnvoyFilters may choose. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** Node metadata PROXY_CONFIG: the ProxyConfig it was started with; what it leaves out is as the mesh says. */
  readonly proxyConfig: Readonly<Record<string, unknown>>
  /**
   * Its service account, as its certificate proves it, where that may have credentials of its namespace; never what a node
   * claims. Undefined: it gets none.
   */
  readonly credentialAccount: string | undefined
}
