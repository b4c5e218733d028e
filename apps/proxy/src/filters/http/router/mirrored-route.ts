import type { ForwardPlan } from '../../../routing/route-action.ts'
import { bareRoute, type RoutePlan, type VirtualHostPlan } from '../../../routing/route-table.ts'

const host: VirtualHostPlan = {
  name: '',
  tree: null,
  routes: [],
  index: null,
  toTls: null,
  includeAttemptCount: false,
  metadata: null,
  includeAttemptCountInResponse: false,
  tellsTimeoutRetry: false,
  filterConfigs: null,
  virtualClusters: null,
}

/** Leads on as it is: nothing of a route that says no more than its cluster. */
const plain: Omit<ForwardPlan, 'cluster' | 'timeoutMs'> = {
  hashing: null,
  metadataMatch: null,
  notFoundStatus: 503,
  idleTimeoutMs: -1,
  flushTimeoutMs: -1,
  maxGrpcTimeoutMs: -1,
  grpcOffsetMs: 0,
  grpcHeaderOffsetMs: 0,
  maxStreamMs: -1,
  limitsStream: false,
  grpcHeaderMaxMs: -1,
  retry: null,
  hedges: false,
  priority: 0,
  rewrite: null,
  hostRewrite: null,
  appendForwardedHost: false,
  mirrors: [],
  internalRedirect: null,
  upgrades: new Map(),
  tcp: null,
}

/**
 * The route of a request's copy to this cluster: as Envoy's it has the request's time limit (ms; 0: none), and else only what the
 * cluster says itself. `bufferLimit`: bytes of its body kept for the retries that a cluster may have.
 */
export function mirroredRoute(cluster: string, timeoutMs: number, bufferLimit: number): RoutePlan {
  const choice = { name: cluster, edits: null, hostRewrite: '', filterConfigs: null, metadataMatch: null }
  const forward: ForwardPlan = { ...plain, cluster: { type: 'one', choice }, timeoutMs }
  return bareRoute(host, cluster, { type: 'forward', forward }, bufferLimit)
}
