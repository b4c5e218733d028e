/**
 * What the main thread and the workers say to each other. The main thread owns configuration: it fetches, validates
 * and orders; a worker owns traffic: it compiles the same bytes into its own plan and serves. See docs/proxy.md.
 */

import type { RuntimeValues } from './plan/runtime.ts'

export type ResourceKind = 'listener' | 'route' | 'cluster' | 'endpoints' | 'secret' | 'extension'

/**
 * One resource as it travels to the workers: the binary protobuf of `Listener`, `RouteConfiguration`, `Cluster`,
 * `ClusterLoadAssignment`, `Secret` or `TypedExtensionConfig` (of an HTTP filter); null removes it. Addresses in endpoints are IP literals or pipes: the main
 * thread resolves names (STRICT_DNS, LOGICAL_DNS) and sends the answer as endpoints of the cluster's name.
 */
export interface ResourceUpdate {
  kind: ResourceKind
  name: string
  bytes: Uint8Array | null
  /**
   * Slots in the shared endpoint slab (upstream/endpoint-slab.ts). For endpoints: of each endpoint, by `address:port`
   * (IPv6 in brackets; a pipe by its path). For a cluster: of its circuit breakers, by `default` and `high`.
   */
  slots?: Record<string, number>
}

/** What a worker has to know before the first resource. */
export interface WorkerInit {
  index: number
  concurrency: number
  node: {
    id: string
    cluster: string
    metadata: Record<string, unknown>
    locality: { region: string; zone: string; subZone: string }
  }
  /** Shared by all threads: endpoint health, ejection, active requests; circuit-breaker budgets. */
  endpointSlab: SharedArrayBuffer
  /** Flags of the process (shared/process-state.ts). */
  processState: SharedArrayBuffer
  /** Rate limits that all workers keep together (shared/token-buckets.ts). */
  tokenBuckets: SharedArrayBuffer
  drainTimeMs: number
  logLevel: string
  /** The cluster of this proxy's own kind, for zone-aware routing. */
  localCluster?: string
}

export type ToWorker =
  | { type: 'init'; init: WorkerInit }
  /** Applied in order, as one change: the worker builds the next plan and swaps once. */
  | { type: 'update'; generation: number; resources: ResourceUpdate[] }
  /** The merged runtime, flat: `key` → value. */
  | { type: 'runtime'; values: RuntimeValues }
  /** Stop accepting and let requests in flight end: all listeners or the named ones. */
  | { type: 'drain'; listeners: string[] | 'all'; inboundOnly: boolean }
  /** An endpoint failed its health check or was ejected. */
  | { type: 'health-failure'; cluster: string; endpoint: string }
  | { type: 'log-level'; level: string }
  | { type: 'reopen-logs' }
  /** The proxy's start is over: what it has left in memory may go. */
  | { type: 'started' }
  | { type: 'stop' }

export interface ResourceError {
  kind: ResourceKind
  name: string
  message: string
}

/** Stats by columns: ten thousand clusters have a million of them, and an object each would be copied between the threads. */
export interface StatBirths {
  names: string[]
  kinds: ('counter' | 'gauge' | 'histogram')[]
  /** Where in the chunk that was announced last. */
  indexes: number[]
  /** Of those that have any, by their place in `names`. */
  tags: Record<number, Record<string, string>>
}

export type FromWorker =
  | { type: 'ready' }
  /** The update is live in this worker; a resource with an error kept its last good version. */
  | { type: 'applied'; generation: number; errors: ResourceError[]; listening: { listener: string; address: string }[] }
  /** Stats were born: where they stand in this worker's slab (observe/stats.ts: StatsReader takes this and `stats-chunk`). */
  | { type: 'stats'; births: StatBirths }
  /** A new chunk of this worker's stats slab: stats born from now on stand in it. */
  | { type: 'stats-chunk'; buffer: SharedArrayBuffer }
  /** A stat that is a word was born or changed. */
  | { type: 'stats-text'; name: string; value: string }
  /** Stats that this worker no longer has. */
  | { type: 'stats-gone'; names: string[] }
  | { type: 'log'; level: string; message: string; fields: Record<string, unknown> }
