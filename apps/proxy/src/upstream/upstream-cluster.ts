import type { Http1ClientOptions } from '@weft/http/h1/client-connection'
import type { ClusterPlan } from '../plan/cluster.ts'
import type { UpstreamTls } from '../transport/upstream-tls.ts'
import type { WorkerServices } from '../worker-services.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { ClusterStats } from './cluster-stats.ts'
import type { EndpointSlab } from './endpoint-slab.ts'
import type { OutlierRows } from './outlier-rows.ts'

/** A live cluster as its endpoints, their pools and connections, and who uses them know it. */
export interface UpstreamCluster {
  readonly name: string
  readonly plan: ClusterPlan
  readonly services: WorkerServices
  readonly stats: ClusterStats
  readonly slab: EndpointSlab
  /** By priority of requests. */
  readonly breakers: readonly [CircuitBreaker, CircuitBreaker]
  /** null: nobody looks for outliers. */
  readonly outlierRows: OutlierRows | null
  readonly connectTimeoutMs: number
  /** 0: never. */
  readonly idleTimeoutMs: number
  /** Of a connection; 0: any number. */
  readonly maxRequests: number
  readonly http1Options: Http1ClientOptions
  /** Whether its endpoints are checked actively. */
  readonly isChecked: boolean
  /** TLS towards an endpoint: by its metadata where the cluster has transport_socket_matches; null: plaintext. */
  tlsOf(endpoint: { readonly metadata: Readonly<Record<string, unknown>> } | undefined): UpstreamTls | null
  /** An endpoint asks, by an answer's header, not to be used until it passes a check again. */
  failCheck(endpoint: { readonly slot: number }): void
}
