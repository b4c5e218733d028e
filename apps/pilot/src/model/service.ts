/** What a port speaks, from its protocol, `appProtocol` or name. `auto` is unknown: to be sniffed, or treated as TCP. */
export type Protocol =
  | 'http'
  | 'http2'
  | 'grpc'
  | 'grpc-web'
  | 'https'
  | 'tls'
  | 'tcp'
  | 'mongo'
  | 'redis'
  | 'mysql'
  | 'udp'
  | 'auto'

/** Protocols whose requests are routed one by one. */
export function isHttp(protocol: Protocol): boolean {
  return protocol === 'http' || protocol === 'http2' || protocol === 'grpc' || protocol === 'grpc-web'
}

/** Whether requests may be spoken to a port: it is HTTP, or its first bytes tell. */
export function speaksHttp(protocol: Protocol): boolean {
  return isHttp(protocol) || protocol === 'auto'
}

/** Protocols that need HTTP/2 to the application. */
export function isHttp2(protocol: Protocol): boolean {
  return protocol === 'http2' || protocol === 'grpc' || protocol === 'grpc-web'
}

export interface ServicePort {
  name: string
  number: number
  protocol: Protocol
}

/** How a service's endpoints are found: Envoy's EDS, STRICT_DNS, LOGICAL_DNS, ORIGINAL_DST. */
export type Resolution = 'static' | 'dns' | 'dns-round-robin' | 'dynamic-dns' | 'passthrough'

/** A service in the mesh, whatever registry it came from. Immutable. */
export interface Service {
  /** Full host name: `reviews.default.svc.cluster.local`, or a ServiceEntry's host, `*.example.com` included. */
  readonly host: string
  /** The short name: the Service's or the ServiceEntry's metadata.name. */
  readonly name: string
  readonly namespace: string
  /** Virtual addresses (clusterIP, ServiceEntry addresses; CIDR blocks too); empty where it has none. */
  readonly addresses: readonly string[]
  readonly ports: readonly ServicePort[]
  readonly resolution: Resolution
  /** Outside of the mesh: no mutual TLS by itself. */
  readonly meshExternal: boolean
  /** A Kubernetes Service with `clusterIP: None`. */
  readonly headless: boolean
  /** `*` (all), `.` (its namespace) or namespaces; empty is the mesh's default. */
  readonly exportTo: readonly string[]
  /** Identities that a server of this service may have, besides those of its endpoints. */
  readonly subjectAltNames: readonly string[]
  /** Which endpoints are to be used first (Kubernetes' `trafficDistribution`); undefined: all alike. */
  readonly prefers?: 'same-zone' | 'same-node' | undefined
  /** Only endpoints on the caller's own node are used (Kubernetes' `internalTrafficPolicy: Local`). */
  readonly nodeLocal?: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly createdMs: number
  /** The object that said so: `kind/namespace/name` (see objectKey) in Snapshot.objects. */
  readonly origin: string
  /** Changes exactly when anything above does. */
  readonly version: string
}

/** `namespace/host`: a service's key. The same host may exist in several namespaces (ServiceEntry). */
export function serviceKey(namespace: string, host: string): string {
  return `${namespace}/${host}`
}
