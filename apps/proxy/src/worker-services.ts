import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { ProcessState } from './shared/process-state.ts'
import type { TokenBuckets } from './shared/token-buckets.ts'
import type { WorkerInit } from './threads.ts'
import type { TimerWheel } from './transport/timer-wheel.ts'
import type { LocalZones } from './upstream/load-balancers/zone-routing.ts'

/** What lives once in a worker and what plans, filters and pools use. */
export interface WorkerServices {
  readonly node: WorkerInit['node']
  readonly timers: TimerWheel
  /** What all threads share: flags of the process, and token buckets. */
  readonly processState: ProcessState
  readonly tokenBuckets: TokenBuckets
  /** Which worker this is: what only one of them has to count, the first does. */
  readonly workerIndex?: number
  /** The bootstrap's local cluster, which zone-aware routing measures itself against, and how it spreads over localities. */
  readonly localCluster?: string
  readonly localZones?: () => LocalZones | null
  /** The live cluster of this name; undefined when there is none now. Ask for each use: plans change. */
  cluster(name: string): ClusterHandle | undefined
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>): void
}

/** A cluster as clients that bring their own protocol (gRPC to Mixer, ext_authz) see it. */
export interface ClusterHandle {
  readonly name: string
  readonly connectTimeoutMs: number
  /** Which HTTP its endpoints are spoken to by, of what came by this version; one that is asked in the handshake counts as HTTP/2. */
  httpVersion(requestVersion: 10 | 11 | 20): 10 | 11 | 20
  /** Of a cluster that connects to what a request names: the port where none is named; absent or null: it does not. */
  readonly forwardsToPort?: number | null
  /** How many endpoints it has, and how many of them are in rotation or degraded. */
  membership(): { total: number; healthy: number; degraded: number }
  /** An endpoint as the load balancer picks it now (health, locality, weight seen to); null when there is none. */
  pickAddress(): { host: string; port: number; key: string } | null
  /**
   * Options for `tls.connect` to an endpoint (certificate, trust, SNI, ALPN, and a `checkServerIdentity` that does the
   * SAN match); null: plaintext; 'not-ready': the secrets have not come yet. Ask again for each connection: secrets rotate.
   */
  tlsOptions(key: string): ConnectionOptions | null | 'not-ready'
  /** A request of the proxy's own begins. */
  beginRequest(key: string): CountedCall
}

/** A request of the proxy's own, counted like others of its cluster. */
export interface CountedCall {
  /** A connection is opened for it, on which it goes out. */
  connecting(socket: Socket): void
  /** It goes out on a connection that is open. */
  sent(): void
  /** An interim answer (1xx) came. */
  interim(status: number): void
  /** Once; `status`: of an answer that is another than 200. */
  end(outcome: 'success' | 'error' | 'timeout' | 'cancelled', status?: number): void
}
