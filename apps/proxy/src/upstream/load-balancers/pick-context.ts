import type { HostWish } from '../../observe/stream-info.ts'
import type { HashPolicies } from '../../routing/hash-policy.ts'
import type { Endpoint } from '../endpoint.ts'
import type { Hash64 } from './hash64.ts'
import type { MetadataCriteria } from './metadata-criteria.ts'
import type { PriorityLoads } from './priority-load.ts'

/** What a balancer may ask about the request that an endpoint is picked for. */
export interface PickContext {
  /** Writes the hash that policies (the balancer's, or the route's) make of the request; false: they make none. */
  hashInto(into: Hash64, ofBalancer?: HashPolicies | null): boolean
  /** Endpoint metadata the route asks for; null: any. */
  readonly metadataMatch: MetadataCriteria | null
  /** How often a host may be picked, at most, until one is accepted; 1 when all are. */
  readonly hostAttempts: number
  accepts(endpoint: Endpoint): boolean
  /** The endpoint that this pick should be; absent or null: any. */
  readonly hostWish?: HostWish | null
  /** Shares of the priorities other than by health, for a retry; null: by health. */
  priorityLoads(shares: PriorityShares): PriorityLoads | null
  /** Value of a request header (lower-case name), for clusters that are told where to connect to; null: absent. */
  requestHeader(name: string): string | null
  /** Dynamic metadata of the request or connection, by namespace. */
  metadata(): Readonly<Record<string, unknown>> | null
  /** For clusters that connect to what a request names: its authority or server name, and the port where that is said apart. */
  readonly target?: { readonly host: string; readonly port: number | null }
  /** Where the client wanted to connect to, if it was caught on the way: `ip:port`. */
  readonly originalDestination: string | null
}

/** Priorities as a retry sees them. */
export interface PriorityShares {
  readonly priorityCount: number
  /** Loads with some priorities left out; null when nothing would be left. */
  loadsWithout(excluded: readonly boolean[]): PriorityLoads | null
}

/** Picks endpoints of one cluster. */
export interface Balancer {
  /** An endpoint, or null when there is none to use. */
  pick(context: PickContext | null): Endpoint | null
}
