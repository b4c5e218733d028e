import type { Filter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import type { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import { Cors } from '@weft/contracts/envoy/extensions/filters/http/cors/v3/cors'
import { HTTPFault } from '@weft/contracts/envoy/extensions/filters/http/fault/v3/fault'
import { Router } from '@weft/contracts/envoy/extensions/filters/http/router/v3/router'
import {
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  HttpConnectionManager,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpFilter,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { UuidRequestIdConfig } from '@weft/contracts/envoy/extensions/request_id/uuid/v3/uuid'
import type { Any } from '@weft/contracts/google/protobuf/any'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import type { Scope } from '../../scope/scope.ts'
import { selectedTracing, type TelemetryMode } from '../../scope/telemetry.ts'
import { forwardingHttpFilter, looksUpHosts } from '../filters/forward-proxy.ts'
import { httpMetricFilters, metricsKey } from '../filters/istio-stats.ts'
import { preservedCase } from '../header-case.ts'
import { milliseconds, pack } from '../wire.ts'
import { accessLogKey, accessLogs } from './access-log.ts'
import { tracing, tracingKey } from './tracing.ts'

type HttpSide = 'inbound' | 'outbound' | 'gateway'

export interface HttpFilterChain {
  readonly side: HttpSide
  readonly statPrefix: string
  readonly scope: Scope
  /** A route configuration by name over ADS, or one that stands in the listener itself. */
  readonly routes: { readonly rds: string } | { readonly inline: RouteConfiguration }
  /** The Mixer filter's configuration, for our own proxies. */
  readonly mixer: Any | undefined
  /** Filters that authenticate and authorise, before all others. */
  readonly security: readonly HttpFilter[]
  /** Some route has a CORS policy, or the proxy is Envoy, which has the filter at no cost. */
  readonly cors: boolean
  /** The listener terminates mutual TLS: the client's certificate is told to the application. */
  readonly tellsClientCertificate: boolean
}

/** The HTTP connection manager of a filter chain, with Istio's settings for its side. */
export function httpConnectionManager(chain: HttpFilterChain): Filter {
  const { scope } = chain
  const { mesh } = scope.snapshot
  const { headers, trustedProxies } = scope.settings
  const mode = chain.side === 'inbound' ? 'server' : 'client'
  const manager = HttpConnectionManager.fromPartial({
    statPrefix: chain.statPrefix,
    routeSpecifier:
      'rds' in chain.routes
        ? {
            $case: 'rds',
            value: {
              routeConfigName: chain.routes.rds,
              configSource: {
                resourceApiVersion: 2,
                initialFetchTimeout: milliseconds(0),
                configSourceSpecifier: { $case: 'ads', value: {} },
              },
            },
          }
        : { $case: 'routeConfig', value: chain.routes.inline },
    httpFilters: httpFilters(chain),
    accessLog: accessLogs({ scope, mode, protocol: 'http' }),
    useRemoteAddress: chain.side === 'gateway',
    xffNumTrustedHops: chain.side === 'gateway' ? trustedProxies : 0,
    appendXForwardedPort: headers.forwardedPort,
    httpProtocolOptions: headers.preservesCase ? { headerKeyFormat: preservedCase() } : undefined,
    ...serverHeader(chain.side, headers.server),
    generateRequestId: headers.requestId ? undefined : false,
    tracing: tracing(scope, mode),
    requestIdExtension: requestIds(scope, mode),
    ...pathNormalization(mesh.pathNormalization),
    streamIdleTimeout: milliseconds(0),
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    ...clientCertificate(chain),
  })
  const typedConfig = pack(
    'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    HttpConnectionManager,
    manager,
  )
  return { name: 'envoy.filters.network.http_connection_manager', configType: { $case: 'typedConfig', value: typedConfig } }
}

/** By the request's id it is sampled, unless a Telemetry says that it is not. */
function requestIds(scope: Scope, mode: TelemetryMode) {
  if (selectedTracing(scope, mode)?.samplesByRequestId !== false) return undefined
  const config = UuidRequestIdConfig.fromPartial({ useRequestIdForTraceSampling: false })
  return { typedConfig: pack('envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig', UuidRequestIdConfig, config) }
}

/** Paths are made comparable once, before any filter or route looks at them (MeshConfig, pathNormalization). */
function pathNormalization(normalization: MeshSettings['pathNormalization']) {
  if (normalization === 'NONE') return {}
  if (normalization === 'BASE') return { normalizePath: true }
  if (normalization === 'MERGE_SLASHES') return { normalizePath: true, mergeSlashes: true }
  const unescapes = HttpConnectionManager_PathWithEscapedSlashesAction.UNESCAPE_AND_FORWARD
  return { normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: unescapes }
}

/** x-forwarded-client-cert: set by the side that sees the certificate, never taken from outside. */
function clientCertificate({ side, tellsClientCertificate, scope: { settings } }: HttpFilterChain) {
  const { clientCert, clientCertDetails } = settings.headers
  if (side === 'outbound') return clientCert === undefined ? {} : { forwardClientCertDetails: clientCert }
  const stated = (side === 'gateway' ? settings.gatewayClientCert : undefined) ?? clientCert
  if (side === 'gateway' && !tellsClientCertificate && stated === undefined)
    return { forwardClientCertDetails: ForwardClientCert.SANITIZE }
  const usual = side === 'gateway' ? ForwardClientCert.SANITIZE_SET : ForwardClientCert.APPEND_FORWARD
  return { forwardClientCertDetails: stated ?? usual, setCurrentClientCertDetails: clientCertDetails }
}

/** `server` of answers to who calls from outside of the workload: ours, or with none stated the application's own. */
function serverHeader(side: HttpSide, name: string | undefined) {
  if (side === 'outbound') return {}
  return name === undefined ? { serverHeaderTransformation: ServerHeader.PASS_THROUGH } : { serverName: name }
}

const settingsKeys = new WeakMap<Scope, string>()

/** What of a proxy's settings its HTTP connection managers depend on. */
export function httpSettingsKey(scope: Scope): string {
  let key = settingsKeys.get(scope)
  if (key === undefined) {
    const { headers, trustedProxies, gatewayClientCert, takesProxyProtocol } = scope.settings
    key = `${JSON.stringify([headers, trustedProxies, gatewayClientCert, takesProxyProtocol])}${tracingKey(scope)}${accessLogKey(scope)}${metricsKey(scope)}${looksUpHosts(scope)}`
    settingsKeys.set(scope, key)
  }
  return key
}

function httpFilters({ side, security, mixer, cors, scope }: HttpFilterChain): HttpFilter[] {
  const metrics = httpMetricFilters(scope, side === 'inbound' ? 'server' : 'client', side)
  const filters: HttpFilter[] = []
  const add = (name: string, typedConfig: Any): void => {
    filters.push(HttpFilter.fromPartial({ name, configType: { $case: 'typedConfig', value: typedConfig } }))
  }
  if (metrics !== undefined) add(metrics.first.name, metrics.first.config)
  filters.push(...security)
  if (mixer !== undefined) add('mixer', mixer)
  if (side !== 'inbound') {
    if (cors) add('envoy.filters.http.cors', pack('envoy.extensions.filters.http.cors.v3.Cors', Cors, Cors.fromPartial({})))
    const fault = HTTPFault.fromPartial({})
    add('envoy.filters.http.fault', pack('envoy.extensions.filters.http.fault.v3.HTTPFault', HTTPFault, fault))
  }
  for (const { name, config } of metrics?.last ?? []) add(name, config)
  if (side !== 'inbound' && looksUpHosts(scope)) add(forwardingHttpFilter().name, forwardingHttpFilter().config)
  const router = Router.fromPartial({ suppressEnvoyHeaders: !scope.settings.headers.envoyHeaders })
  add('envoy.filters.http.router', pack('envoy.extensions.filters.http.router.v3.Router', Router, router))
  return filters
}
