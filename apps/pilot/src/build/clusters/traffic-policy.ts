import type {
  ClientTLSSettings,
  ConnectionPoolSettings,
  DestinationRule,
  LoadBalancerSettings,
  OutlierDetection,
  TrafficPolicy,
  TrafficPolicy_ProxyProtocol,
  TrafficPolicy_RetryBudget,
  TrafficPolicy_TunnelSettings,
} from '@weft/contracts/istio/networking/v1alpha3/destination_rule'

/** The policy that holds for one port of one subset. */
export interface EffectivePolicy {
  readonly loadBalancer: LoadBalancerSettings | undefined
  readonly connectionPool: ConnectionPoolSettings | undefined
  readonly outlierDetection: OutlierDetection | undefined
  readonly tls: ClientTLSSettings | undefined
  readonly proxyProtocol: TrafficPolicy_ProxyProtocol | undefined
  readonly retryBudget: TrafficPolicy_RetryBudget | undefined
  readonly tunnel: TrafficPolicy_TunnelSettings | undefined
}

const noPolicy: EffectivePolicy = {
  loadBalancer: undefined,
  connectionPool: undefined,
  outlierDetection: undefined,
  tls: undefined,
  proxyProtocol: undefined,
  retryBudget: undefined,
  tunnel: undefined,
}

/**
 * The policy of a DestinationRule for a port and subset. A subset's policy replaces the host's field by field; port
 * level settings replace everything that the same policy says at its top, unset fields included (Istio:
 * "PortTrafficPolicy: traffic policies specified at the port level override destination-level settings").
 */
export function effectivePolicy(rule: DestinationRule | undefined, subset: string, port: number): EffectivePolicy {
  if (rule === undefined) return noPolicy
  const own = subset === '' ? undefined : rule.subsets.find((candidate) => candidate.name === subset)?.trafficPolicy
  const base = atPort(rule.trafficPolicy, port)
  const over = atPort(own, port)
  return {
    loadBalancer: over.loadBalancer ?? base.loadBalancer,
    connectionPool: over.connectionPool ?? base.connectionPool,
    outlierDetection: over.outlierDetection ?? base.outlierDetection,
    tls: over.tls ?? base.tls,
    // Ports say nothing of these.
    proxyProtocol: own?.proxyProtocol ?? rule.trafficPolicy?.proxyProtocol,
    retryBudget: own?.retryBudget ?? rule.trafficPolicy?.retryBudget,
    tunnel: own?.tunnel ?? rule.trafficPolicy?.tunnel,
  }
}

type PortPolicy = Pick<TrafficPolicy, 'loadBalancer' | 'connectionPool' | 'outlierDetection' | 'tls'>

function atPort(policy: TrafficPolicy | undefined, port: number): PortPolicy {
  if (policy === undefined) return noPolicy
  return policy.portLevelSettings.find((settings) => settings.port?.number === port) ?? policy
}
