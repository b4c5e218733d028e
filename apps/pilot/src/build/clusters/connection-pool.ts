import { CircuitBreakers } from '@weft/contracts/envoy/config/cluster/v3/circuit_breaker'
import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { OutlierDetection as EnvoyOutlierDetection } from '@weft/contracts/envoy/config/cluster/v3/outlier_detection'
import { Http1ProtocolOptions, Http2ProtocolOptions } from '@weft/contracts/envoy/config/core/v3/protocol'
import { HttpProtocolOptions } from '@weft/contracts/envoy/extensions/upstreams/http/v3/http_protocol_options'
import {
  type ConnectionPoolSettings,
  type OutlierDetection,
  type TrafficPolicy_RetryBudget,
  ConnectionPoolSettings_HTTPSettings_H2UpgradePolicy as UpgradePolicy,
} from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import type { Service } from '../../model/service.ts'
import { preservedCase } from '../header-case.ts'
import { milliseconds, pack } from '../wire.ts'

/** Envoy's way of saying no limit; the limits that a DestinationRule leaves open. */
const unlimited = 4_294_967_295

/** Limits, timeouts and keepalive of a connection pool, set on a cluster. */
export function applyConnectionPool(
  cluster: Cluster,
  pool: ConnectionPoolSettings | undefined,
  mesh: Pick<MeshSettings, 'connectTimeoutMs' | 'tcpKeepalive'>,
  retryBudget?: TrafficPolicy_RetryBudget,
): void {
  const tcp = pool?.tcp
  const http = pool?.http
  cluster.connectTimeout = tcp?.connectTimeout ?? milliseconds(mesh.connectTimeoutMs)
  const or = (value: number | undefined): number => (value === undefined || value <= 0 ? unlimited : value)
  cluster.circuitBreakers = CircuitBreakers.fromPartial({
    thresholds: [
      {
        maxConnections: or(tcp?.maxConnections),
        maxPendingRequests: or(http?.http1MaxPendingRequests),
        maxRequests: or(http?.http2MaxRequests),
        maxRetries: or(http?.maxRetries),
        trackRemaining: true,
        retryBudget:
          retryBudget === undefined
            ? undefined
            : {
                budgetPercent: retryBudget.percent === undefined ? undefined : { value: retryBudget.percent },
                minRetryConcurrency: retryBudget.minRetryConcurrency || undefined,
              },
      },
    ],
  })
  const keepalive = tcp?.tcpKeepalive ?? mesh.tcpKeepalive
  if (keepalive !== undefined) {
    cluster.upstreamConnectionOptions = {
      tcpKeepalive: {
        keepaliveProbes: keepalive.probes || undefined,
        keepaliveTime: keepalive.time?.seconds,
        keepaliveInterval: keepalive.interval?.seconds,
      },
      setLocalInterfaceNameOnUpstreamConnections: false,
      happyEyeballsConfig: undefined,
    }
  }
}

/** Whether requests travel as HTTP/2 to this cluster: the port asks for it, or a policy upgrades it. */
export function usesHttp2(
  portIsHttp2: boolean,
  portIsHttp: boolean,
  pool: ConnectionPoolSettings | undefined,
  meshUpgrades: boolean,
): boolean {
  const policy = pool?.http?.h2UpgradePolicy ?? UpgradePolicy.DEFAULT
  const upgrades =
    policy === UpgradePolicy.DEFAULT ? meshUpgrades && pool?.http?.useClientProtocol !== true : policy === UpgradePolicy.UPGRADE
  return portIsHttp2 || (portIsHttp && upgrades)
}

/**
 * Whether requests of many connections may share one connection between our sidecars, which is HTTP/2: not where a DestinationRule
 * wants HTTP/1.1 left as it is, or the client's protocol kept, or headers keep their case.
 */
export function sharesConnections(pool: ConnectionPoolSettings | undefined, preservesCase: boolean): boolean {
  return !preservesCase && pool?.http?.h2UpgradePolicy !== UpgradePolicy.DO_NOT_UPGRADE && pool?.http?.useClientProtocol !== true
}

/** The HTTP protocol towards a cluster, and the limits of its connections; undefined when Envoy's defaults hold. */
export function applyHttpProtocol(
  cluster: Cluster,
  http2: boolean,
  pool: ConnectionPoolSettings | undefined,
  preservesCase: boolean,
): void {
  const http = pool?.http
  const idleTimeout = http?.idleTimeout ?? pool?.tcp?.idleTimeout
  const maxRequests = http === undefined || http.maxRequestsPerConnection <= 0 ? undefined : http.maxRequestsPerConnection
  const maxConnectionDuration = pool?.tcp?.maxConnectionDuration
  const useClientProtocol = http?.useClientProtocol === true
  if (
    !http2 &&
    !useClientProtocol &&
    !preservesCase &&
    idleTimeout === undefined &&
    maxRequests === undefined &&
    maxConnectionDuration === undefined
  )
    return
  const http2Options = Http2ProtocolOptions.fromPartial({
    maxConcurrentStreams: http === undefined || http.maxConcurrentStreams <= 0 ? undefined : http.maxConcurrentStreams,
    connectionKeepalive:
      http?.http2KeepAlive?.interval === undefined
        ? undefined
        : { interval: http.http2KeepAlive.interval, timeout: http.http2KeepAlive.timeout ?? milliseconds(20_000) },
  })
  const httpProtocolOptions = Http1ProtocolOptions.fromPartial(preservesCase ? { headerKeyFormat: preservedCase() } : {})
  const options = HttpProtocolOptions.fromPartial({
    commonHttpProtocolOptions:
      idleTimeout === undefined && maxRequests === undefined && maxConnectionDuration === undefined
        ? undefined
        : { idleTimeout, maxRequestsPerConnection: maxRequests, maxConnectionDuration },
    upstreamProtocolOptions: useClientProtocol
      ? { $case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions, http2ProtocolOptions: http2Options } }
      : {
          $case: 'explicitHttpConfig',
          value: {
            protocolConfig: http2
              ? { $case: 'http2ProtocolOptions', value: http2Options }
              : { $case: 'httpProtocolOptions', value: httpProtocolOptions },
          },
        },
  })
  cluster.typedExtensionProtocolOptions = {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': pack(
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      HttpProtocolOptions,
      options,
    ),
  }
}

/**
 * Ejection of endpoints that fail, set on a cluster; and from which share of healthy ones on all are used, unless the service
 * goes by their health itself.
 */
export function applyOutlierDetection(
  cluster: Cluster,
  outlier: OutlierDetection | undefined,
  { prefers }: Pick<Service, 'prefers'>,
): void {
  if (outlier === undefined) return
  if (cluster.commonLbConfig !== undefined && prefers === undefined) {
    cluster.commonLbConfig.healthyPanicThreshold = { value: Math.max(0, outlier.minHealthPercent) }
  }
  const gateway = outlier.consecutiveGatewayErrors
  const fives = outlier.consecutive5xxErrors ?? (outlier.consecutiveErrors > 0 ? outlier.consecutiveErrors : undefined)
  const local = outlier.consecutiveLocalOriginFailures
  const enforce = (errors: number | undefined): number | undefined => (errors === undefined ? undefined : errors > 0 ? 100 : 0)
  cluster.outlierDetection = EnvoyOutlierDetection.fromPartial({
    interval: outlier.interval,
    baseEjectionTime: outlier.baseEjectionTime,
    maxEjectionPercent: outlier.maxEjectionPercent > 0 ? outlier.maxEjectionPercent : undefined,
    consecutive5xx: fives === 0 ? undefined : fives,
    enforcingConsecutive5xx: enforce(fives),
    consecutiveGatewayFailure: gateway === 0 ? undefined : gateway,
    enforcingConsecutiveGatewayFailure: enforce(gateway),
    enforcingSuccessRate: 0,
    splitExternalLocalOriginErrors: outlier.splitExternalLocalOriginErrors,
    consecutiveLocalOriginFailure: outlier.splitExternalLocalOriginErrors && local !== 0 ? local : undefined,
    enforcingConsecutiveLocalOriginFailure: outlier.splitExternalLocalOriginErrors ? enforce(local) : undefined,
    enforcingLocalOriginSuccessRate: 0,
  })
}
