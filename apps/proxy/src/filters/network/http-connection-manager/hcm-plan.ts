import { HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores } from '@weft/contracts/envoy/config/core/v3/protocol'
import {
  HttpConnectionManager_CodecType as Codec,
  type ForwardProtoConfig,
  HttpConnectionManager,
  type HttpFilter,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
  HttpConnectionManager_PathWithEscapedSlashesAction as SlashesAction,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { UuidRequestIdConfig } from '@weft/contracts/envoy/extensions/request_id/uuid/v3/uuid'
import type { StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import type { Any } from '@weft/contracts/google/protobuf/any'
import { defaultServerOptions, type Http1ServerOptions } from '@weft/http/h1/server-connection'
import type { Http2Options } from '@weft/http/h2/options'
import type { AccessLog } from '../../../observe/access-log/access-log.ts'
import { asksForWireBytes, compileAccessLogs } from '../../../observe/access-log/access-log.ts'
import type { RequestIdUse } from '../../../observe/tracing/sampling.ts'
import { TracingPlan } from '../../../observe/tracing/tracing-plan.ts'
import { durationMs } from '../../../plan/duration.ts'
import { compileFilterConfigs } from '../../../plan/filter-configs.ts'
import { compileHeaderCasing } from '../../../plan/header-casing.ts'
import { compileClientHttp2Options } from '../../../plan/http2-options.ts'
import type { PlanContext } from '../../../plan/plan-context.ts'
import { invalid, unsupported } from '../../../plan/problems.ts'
import type { Runtime } from '../../../plan/runtime.ts'
import type { MatchTree } from '../../../routing/matchers/matcher-tree.ts'
import { compileStringMatcher, type TextMatcher } from '../../../routing/matchers/string-matcher.ts'
import { compileRouteTable, type RouteTable } from '../../../routing/route-table.ts'
import { compileScopedRoutes, type ScopedRouteTables } from '../../../routing/scoped-routes.ts'
import type { AddressSet } from '../../../transport/address.ts'
import type { CompiledHttpFilter } from '../../http/filter.ts'
import type { HeadEdit } from '../../http/head-edit.ts'
import { defaultTerminal, httpFilterKind, httpFilterTypes } from '../../http/index.ts'
import type { CompiledTerminalFilter } from '../../http/terminal-filter.ts'
import { discoveredFilter } from './discovered-filter.ts'
import { compileEarlyEdits } from './early-edits.ts'
import { type ClientCertRules, compileClientCert, compileClientCertTree } from './forwarded-client-cert.ts'
import { HcmStats } from './hcm-stats.ts'
import { compileInternalAddresses } from './internal-addresses.ts'
import { compileLocalReply, type LocalReplyRules } from './local-reply-config.ts'
import { compileLogMoments, type LogMoments } from './log-moments.ts'
import { compileOriginalAddress, type OriginalAddressDetection } from './original-address.ts'
import type { PathRules } from './path-normalization.ts'
import { compileProxyStatus, type ProxyStatusRules } from './proxy-status.ts'

/** Which HTTP a listener speaks. */
export type CodecType = 'auto' | 'http1' | 'http2'

/** One filter of the chain, in its place. */
export interface FilterEntry {
  name: string
  filter: CompiledHttpFilter
  disabled: boolean
}

/** What may become of connections. */
interface UpgradePlan {
  enabled: boolean
  /** Filters of such requests instead of the others; null: none of their own. */
  filters: readonly FilterEntry[] | null
}

/** An http_connection_manager, compiled. */
export interface HcmPlan {
  statPrefix: string
  stats: HcmStats
  routes: { type: 'inline'; table: RouteTable } | { type: 'rds'; name: string } | { type: 'scoped'; tables: ScopedRouteTables }
  /** Without the one that ends the chain. */
  filters: readonly FilterEntry[]
  terminal: CompiledTerminalFilter
  codec: CodecType
  http1: Http1ServerOptions
  /** The same over TLS. */
  secureHttp1: Http1ServerOptions
  http2: Http2Options
  /** Empty: leave what upstream says, if it says something. */
  serverName: Buffer
  serverHeader: 'overwrite' | 'append-if-absent' | 'pass-through'
  useRemoteAddress: boolean
  xffTrustedHops: number
  /** Where else the client's address is looked for; null: nowhere. */
  originalAddress: OriginalAddressDetection | null
  /** Edits of requests before all else; null: none. */
  earlyEdits: readonly HeadEdit[] | null
  skipXffAppend: boolean
  /** X-Forwarded-For has IPv4 addresses as IPv6 ones. */
  mapsIPv4: boolean
  appendForwardedPort: boolean
  isInternalAddress: AddressSet
  /** Whether peers by a Unix socket are. */
  pipesAreInternal: boolean
  generateRequestId: boolean
  requestIds: RequestIdUse
  preserveExternalRequestId: boolean
  requestIdInResponse: boolean
  clientCert: ClientCertRules
  /** Rules for requests that match, in place of `clientCert`; null: there are none. */
  clientCertByMatch: MatchTree<ClientCertRules> | null
  via: string
  /** What clients came by, by the port they went to before they were redirected, or by a PROXY header's; null: no port says. */
  protoOfPort: ReadonlyMap<number, 'http' | 'https'> | null
  /** The scheme that every request is taken to have; null: its own. */
  scheme: string | null
  /** Requests have the scheme of the connection that they leave by. */
  schemeMatchesUpstream: boolean
  /** What requests are told to come from, and the user agent of those that name none; null: nothing. */
  userAgent: { cluster: string; node: string } | null
  /** Answers for want of memory and the like say that it is so here. */
  tellsOverload: boolean
  path: PathRules | null
  stripPort: 'none' | 'any' | 'matching'
  stripTrailingHostDot: boolean
  underscores: 'allow' | 'reject' | 'drop'
  /** Milliseconds; 0: none. */
  connectionIdleMs: number
  drainTimeoutMs: number
  /** How much longer the drain of a connection may take, as a share of its time. */
  drainJitter: number
  /** How long a client that did not ask for the end has to close first. */
  delayedCloseMs: number
  maxConnectionMs: number
  /** How much older a connection may become, as a share of that time. */
  maxConnectionJitter: number
  /** One of HTTP/1 that is too old ends with its next response only. */
  endsOldWithResponse: boolean
  streamIdleMs: number
  requestMs: number
  requestHeadersMs: number
  maxStreamMs: number
  maxRequestsPerConnection: number
  upgrades: ReadonlyMap<string, UpgradePlan>
  /** Which protocols of HTTP/1.1's Upgrade count for nothing; null: none. */
  ignoresUpgrade: TextMatcher | null
  /** How answers of the proxy's own are told of in Proxy-Status; null: they are not. */
  proxyStatus: ProxyStatusRules | null
  /** Changes answers of the proxy's own; null: none. */
  localReply: LocalReplyRules | null
  /** Body bytes that are kept for filters and for retries. */
  bufferLimit: number
  proxy100Continue: boolean
  streamErrorOnInvalidMessage: boolean
  /** null: requests are not traced. */
  tracing: TracingPlan | null
  accessLog: AccessLog | null
  logMoments: LogMoments
  /** A log asks how much was on the wire. */
  countsWireBytes: boolean
}

/** Compiles an http_connection_manager; throws WeftError at the place of what is invalid or not supported. */
export function compileHcm(bytes: Uint8Array, path: string, context: PlanContext): HcmPlan {
  const source = HttpConnectionManager.decode(bytes)
  const statPrefix = `http.${source.statPrefix}.`
  if (source.codecType === Codec.HTTP3) throw unsupported(`${path}.codec_type`, 'HTTP3')
  if (source.addProxyProtocolConnectionState === false) throw unsupported(`${path}.add_proxy_protocol_connection_state`, 'false')
  const common = source.commonHttpProtocolOptions
  const protocol = source.httpProtocolOptions
  if (common?.maxResponseHeadersKb !== undefined)
    throw invalid(
      `${path}.common_http_protocol_options.max_response_headers_kb`,
      'max_response_headers_kb cannot be set on http_connection_manager.',
    )
  if (source.stripPortMode?.value === true && source.stripMatchingHostPort)
    throw invalid(path, 'Only one of `strip_matching_host_port` or `strip_any_host_port` can be set.')
  const fieldKb = source.http2ProtocolOptions?.maxHeaderFieldSizeKb ?? 0
  if (fieldKb > (source.maxRequestHeadersKb ?? 60))
    throw invalid(path, 'max_header_field_size_kb must not exceed max_request_headers_kb')
  const requestIds = compileRequestIds(source, `${path}.request_id_extension`)
  const routes = compileRoutes(source, path, context)
  const chain = compileFilters(source.httpFilters, `${path}.http_filters`, statPrefix, context)
  const action = common?.headersWithUnderscoresAction
  const underscores = action === Underscores.REJECT_REQUEST ? 'reject' : action === Underscores.DROP_HEADER ? 'drop' : 'allow'
  const http1 = (refusesHttps: boolean): Http1ServerOptions => ({
    ...defaultServerOptions,
    maxHeadBytes: (source.maxRequestHeadersKb ?? 60) * 1024,
    maxHeaders: common?.maxHeadersCount ?? 100,
    acceptHttp10: protocol?.acceptHttp10 ?? false,
    refusesUnderscores: underscores === 'reject',
    defaultHost: protocol?.defaultHostForHttp10 ?? '',
    allowChunkedLength: protocol?.allowChunkedLength ?? false,
    allowAbsoluteUrl: protocol?.allowAbsoluteUrl ?? true,
    enableTrailers: protocol?.enableTrailers ?? false,
    casing: compileHeaderCasing(protocol, `${path}.http_protocol_options`),
    allowCustomMethods: protocol?.allowCustomMethods ?? false,
    refusesHttps,
  })
  return {
    statPrefix,
    stats: new HcmStats(context.stats, statPrefix, context.listenerStatPrefix),
    routes,
    ...chain,
    codec: source.codecType === Codec.HTTP1 ? 'http1' : source.codecType === Codec.HTTP2 ? 'http2' : 'auto',
    http2: {
      ...compileClientHttp2Options(source.http2ProtocolOptions, context.runtime),
      maxHeadBytes: (source.maxRequestHeadersKb ?? 60) * 1024,
      maxHeaders: common?.maxHeadersCount ?? 100,
      stallTimeoutMs: durationMs(source.streamIdleTimeout, 300_000),
      flushTimeoutMs: source.streamFlushTimeout === undefined ? null : durationMs(source.streamFlushTimeout, 0),
      drainNoticeMs: durationMs(source.drainTimeout, 5_000),
      announceViolations: false,
      // A malformed request ends its connection, as with Envoy, unless the configuration would rather lose the stream only.
      streamErrorOnInvalidMessage:
        source.http2ProtocolOptions?.overrideStreamErrorOnInvalidHttpMessage ??
        source.streamErrorOnInvalidHttpMessage ??
        source.http2ProtocolOptions?.streamErrorOnInvalidHttpMessaging ??
        false,
    },
    http1: http1(source.useRemoteAddress === true && source.xffNumTrustedHops === 0),
    secureHttp1: http1(false),
    serverName: Buffer.from(source.serverName === '' ? 'envoy' : source.serverName),
    serverHeader:
      source.serverHeaderTransformation === ServerHeader.PASS_THROUGH
        ? 'pass-through'
        : source.serverHeaderTransformation === ServerHeader.APPEND_IF_ABSENT
          ? 'append-if-absent'
          : 'overwrite',
    useRemoteAddress: source.useRemoteAddress ?? false,
    xffTrustedHops: source.xffNumTrustedHops,
    originalAddress: compileOriginalAddress(
      source.originalIpDetectionExtensions,
      { useRemoteAddress: source.useRemoteAddress ?? false, xffTrustedHops: source.xffNumTrustedHops },
      `${path}.original_ip_detection_extensions`,
    ),
    earlyEdits: compileEarlyEdits(source.earlyHeaderMutationExtensions, `${path}.early_header_mutation_extensions`),
    skipXffAppend: source.skipXffAppend,
    mapsIPv4: source.representIpv4RemoteAddressAsIpv4MappedIpv6,
    appendForwardedPort: source.appendXForwardedPort,
    isInternalAddress: compileInternalAddresses(source.internalAddressConfig, `${path}.internal_address_config`),
    pipesAreInternal: source.internalAddressConfig?.unixSockets ?? false,
    generateRequestId: source.generateRequestId ?? true,
    requestIds,
    preserveExternalRequestId: source.preserveExternalRequestId,
    requestIdInResponse: source.alwaysSetRequestIdInResponse,
    clientCert: compileClientCert(source),
    clientCertByMatch:
      source.forwardClientCertMatcher === undefined
        ? null
        : compileClientCertTree(source.forwardClientCertMatcher, `${path}.forward_client_cert_matcher`),
    via: source.via,
    protoOfPort: compileProtoOfPort(source.forwardProtoConfig),
    scheme: source.schemeHeaderTransformation?.transformation?.value ?? null,
    schemeMatchesUpstream: source.schemeHeaderTransformation?.matchUpstream ?? false,
    userAgent:
      source.addUserAgent === true
        ? { cluster: context.services?.node.cluster ?? '', node: context.services?.node.id ?? '' }
        : null,
    tellsOverload: source.appendLocalOverload,
    path: compilePath(source, path, context.runtime),
    stripPort: source.stripPortMode?.value === true ? 'any' : source.stripMatchingHostPort ? 'matching' : 'none',
    stripTrailingHostDot: source.stripTrailingHostDot,
    underscores,
    drainTimeoutMs: durationMs(source.drainTimeout, 5_000),
    drainJitter: (source.drainTimeoutJitter?.value ?? 0) / 100,
    delayedCloseMs: durationMs(source.delayedCloseTimeout, 1_000),
    connectionIdleMs: durationMs(common?.idleTimeout, 3_600_000),
    maxConnectionMs: durationMs(common?.maxConnectionDuration, 0),
    maxConnectionJitter: (common?.maxConnectionDurationJitter?.value ?? 0) / 100,
    endsOldWithResponse: source.http1SafeMaxConnectionDuration,
    streamIdleMs: durationMs(source.streamIdleTimeout, 300_000),
    requestMs: durationMs(source.requestTimeout, 0),
    requestHeadersMs: durationMs(source.requestHeadersTimeout, 0),
    maxStreamMs: durationMs(common?.maxStreamDuration, 0),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? 0,
    upgrades: new Map(
      source.upgradeConfigs.map((upgrade, i) => {
        const kind = upgrade.upgradeType.toLowerCase()
        if (source.upgradeConfigs.findIndex((one) => one.upgradeType.toLowerCase() === kind) < i)
          throw invalid(`${path}.upgrade_configs[${i}]`, `multiple upgrade configs with the same name: '${upgrade.upgradeType}'`)
        if (kind === 'connect-udp') throw unsupported(`${path}.upgrade_configs[${i}].upgrade_type`, 'CONNECT-UDP')
        const at = `${path}.upgrade_configs[${i}].filters`
        const filters = upgrade.filters.length === 0 ? null : compileFilters(upgrade.filters, at, statPrefix, context).filters
        return [kind, { enabled: upgrade.enabled ?? true, filters }]
      }),
    ),
    ignoresUpgrade: compileIgnoredUpgrades(protocol?.ignoreHttp11Upgrade ?? [], `${path}.http_protocol_options`),
    proxyStatus: compileProxyStatus(source, context.services?.node.id ?? ''),
    localReply:
      source.localReplyConfig === undefined
        ? null
        : compileLocalReply(source.localReplyConfig, `${path}.local_reply_config`, context.runtime),
    bufferLimit: context.bufferLimit ?? 1024 * 1024,
    proxy100Continue: source.proxy100Continue,
    streamErrorOnInvalidMessage:
      protocol?.overrideStreamErrorOnInvalidHttpMessage ?? source.streamErrorOnInvalidHttpMessage ?? false,
    tracing: compileTracing(source, path, statPrefix, requestIds, chain.terminal.startsChildSpans, context),
    countsWireBytes: asksForWireBytes(source.accessLog) || chain.filters.some(({ filter }) => filter.countsWireBytes === true),
    logMoments: compileLogMoments(source, path),
    accessLog: compileAccessLogs(source.accessLog, `${path}.access_log`, {
      runtime: context.runtime,
      files: context.logFiles,
      services: context.services,
      stats: context.stats,
    }),
  }
}

function compileIgnoredUpgrades(sources: readonly StringMatcher[], path: string): TextMatcher | null {
  if (sources.length === 0) return null
  const matchers = sources.map((source, i) => compileStringMatcher(source, `${path}.ignore_http_11_upgrade[${i}]`))
  return (text) => matchers.some((matches) => matches(text))
}

function compileRequestIds({ requestIdExtension }: HttpConnectionManager, path: string): RequestIdUse {
  const type = requestIdExtension?.typedConfig?.typeUrl.split('/').pop()
  if (type !== undefined && type !== '' && type !== 'envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig')
    throw invalid(`${path}.typed_config`, `Didn't find a registered implementation for type: '${type}'`)
  const source = UuidRequestIdConfig.decode(requestIdExtension?.typedConfig?.value ?? new Uint8Array())
  return { samples: source.useRequestIdForTraceSampling ?? true, packs: source.packTraceReason ?? true }
}

function compileTracing(
  source: HttpConnectionManager,
  path: string,
  statPrefix: string,
  requestIds: RequestIdUse,
  childSpans: boolean,
  context: PlanContext,
): TracingPlan | null {
  if (source.tracing === undefined) return null
  return new TracingPlan(source.tracing, `${path}.tracing`, statPrefix, requestIds, childSpans, context)
}

function compilePath(source: HttpConnectionManager, path: string, runtime: Runtime): PathRules | null {
  if (source.pathNormalizationOptions !== undefined)
    throw unsupported(`${path}.path_normalization_options`, 'path_normalization_options')
  const actions: Record<number, PathRules['escapedSlashes']> = {
    [SlashesAction.REJECT_REQUEST]: 'reject',
    [SlashesAction.UNESCAPE_AND_REDIRECT]: 'redirect',
    [SlashesAction.UNESCAPE_AND_FORWARD]: 'forward',
  }
  const rules: PathRules = {
    normalize: source.normalizePath ?? false,
    mergeSlashes: source.mergeSlashes,
    escapedSlashes: actions[source.pathWithEscapedSlashesAction] ?? 'keep',
    get dotParameters() {
      return runtime.boolean('envoy.reloadable_features.strip_dotdot_segments_with_parameters', true)
    },
  }
  return rules.normalize || rules.mergeSlashes || rules.escapedSlashes !== 'keep' ? rules : null
}

function compileRoutes(source: HttpConnectionManager, path: string, context: PlanContext): HcmPlan['routes'] {
  switch (source.routeSpecifier?.$case) {
    case undefined:
      throw invalid(path, 'one of route_config and rds is needed')
    case 'rds':
      if (source.routeSpecifier.value.routeConfigName === '') throw invalid(`${path}.rds.route_config_name`, 'a name is needed')
      return { type: 'rds', name: source.routeSpecifier.value.routeConfigName }
    case 'routeConfig': {
      const compile = compileFilterConfigs(context)
      return {
        type: 'inline',
        table: compileRouteTable(source.routeSpecifier.value, `${path}.route_config.`, context.runtime, compile),
      }
    }
    case 'scopedRoutes':
      return {
        type: 'scoped',
        tables: compileScopedRoutes(source.routeSpecifier.value, `${path}.scoped_routes`, (configuration, at) =>
          compileRouteTable(configuration, at, context.runtime, compileFilterConfigs(context)),
        ),
      }
  }
}

/** Filters of all kinds of requests. */
export function allFilters({ filters, upgrades }: HcmPlan): FilterEntry[] {
  return [...filters, ...[...upgrades.values()].flatMap((upgrade) => upgrade.filters ?? [])]
}

/** A filter chain, compiled. */
interface FilterChain {
  filters: FilterEntry[]
  terminal: CompiledTerminalFilter
}

function compileFilters(sources: readonly HttpFilter[], path: string, statPrefix: string, context: PlanContext): FilterChain {
  const filters: FilterEntry[] = []
  let terminal: CompiledTerminalFilter | null = null
  sources.forEach((filter, i) => {
    const at = `${path}[${i}]`
    if (terminal !== null) throw invalid(`${path}[${i - 1}]`, `terminal filter must be the last in the chain`)
    if (filter.configType?.$case === 'configDiscovery') {
      const { defaultConfig, typeUrls } = filter.configType.value
      const where = `${at}.config_discovery`
      typeUrls.forEach((url, k) => {
        if (httpFilterKind(url, `${where}.type_urls[${k}]`).terminal === true)
          throw unsupported(`${where}.type_urls[${k}]`, 'discovery of the router')
      })
      const compile = (config: Any) => {
        const kind = httpFilterKind(config.typeUrl, where)
        if (kind.terminal === true) throw unsupported(where, 'discovery of the router')
        return kind.compile(config.value, filterContext(context, where, filter.name, statPrefix))
      }
      const found = discoveredFilter(filter.name, context.extensions, defaultConfig, compile)
      filters.push({ name: filter.name, filter: found, disabled: filter.disabled })
      return
    }
    const config = filter.configType?.value
    if (config === undefined && filter.isOptional) return
    if (config === undefined) throw invalid(at, `filter '${filter.name}' needs a typed_config`)
    if (filter.isOptional && !httpFilterTypes.has(config.typeUrl.split('/').pop() ?? '')) return
    const kind = httpFilterKind(config.typeUrl, `${at}.typed_config`)
    if (kind.terminal === true) {
      if (filter.disabled)
        throw invalid(at, `the last (terminal) filter (${filter.name}) in the chain cannot be disabled by default.`)
      terminal = kind.compile(config.value, filterContext(context, `${at}.typed_config`, filter.name, statPrefix))
      return
    }
    const compiled = kind.compile(config.value, filterContext(context, `${at}.typed_config`, filter.name, statPrefix))
    filters.push({ name: filter.name, filter: compiled, disabled: filter.disabled })
  })
  // Nothing at all is taken by Envoy too, and then the router alone.
  if (terminal === null && sources.length > 0)
    throw invalid(path, 'the last filter must be the router', 'add envoy.filters.http.router')
  terminal ??= defaultTerminal.compile(new Uint8Array(), filterContext(context, path, 'router', statPrefix))
  return { filters, terminal }
}

function filterContext(context: PlanContext, path: string, name: string, statPrefix: string) {
  return {
    path,
    name,
    statPrefix,
    stats: context.stats,
    runtime: context.runtime,
    secrets: context.secrets,
    services: context.services,
    direction: context.direction,
    fail(inside: string, message: string, hint?: string): never {
      throw invalid(inside === '' ? path : `${path}.${inside}`, message, hint)
    },
  }
}

function compileProtoOfPort(source: ForwardProtoConfig | undefined): HcmPlan['protoOfPort'] {
  if (source === undefined) return null
  const ports = new Map<number, 'http' | 'https'>()
  for (const port of source.httpDestinationPorts) ports.set(port, 'http')
  for (const port of source.httpsDestinationPorts) ports.set(port, 'https')
  return ports
}
