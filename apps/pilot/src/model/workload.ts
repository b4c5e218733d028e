export interface Locality {
  region: string
  zone: string
  subZone: string
}

export type Health = 'healthy' | 'unhealthy' | 'draining'

/** Something that runs: one WorkloadEntry, one replica of a `Workload`, one pod. Immutable. */
export interface Workload {
  /** `namespace/name`, unique. */
  readonly key: string
  readonly name: string
  readonly namespace: string
  /** An IP address, `unix:///path`, or a DNS name. */
  readonly address: string
  /** Ports by name. */
  readonly ports: Readonly<Record<string, number>>
  readonly labels: Readonly<Record<string, string>>
  readonly serviceAccount: string
  /** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`; empty outside of the mesh. */
  readonly identity: string
  readonly locality: Locality
  readonly network: string
  /** The machine it runs on; undefined where that is not known. */
  readonly node?: string
  /** Relative; 0 is unsaid (Envoy's 1). */
  readonly weight: number
  readonly health: Health
  /** `istio`: it has a sidecar that takes mutual TLS (label security.istio.io/tlsMode). */
  readonly tlsMode: 'istio' | 'disabled'
  /** The object that said so: `kind/namespace/name` in Snapshot.objects. */
  readonly origin: string
}

/** A workload as an endpoint of one port of one service. */
export interface Endpoint {
  readonly address: string
  /** The port at that address. A `unix://` address has 0. */
  readonly port: number
  /** The service's port that leads here. */
  readonly servicePort: number
  readonly workload: Workload
}

/** All endpoints of one service. `version` changes exactly when they do. */
export interface EndpointSet {
  readonly version: string
  /** By the service's port number. */
  readonly byPort: ReadonlyMap<number, readonly Endpoint[]>
}
