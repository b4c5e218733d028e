import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { ProxyProtocolConfig_Version as Version } from '@weft/contracts/envoy/config/core/v3/proxy_protocol'
import {
  type HedgePolicy,
  type RouteAction,
  RouteAction_ClusterNotFoundResponseCode,
  type RouteAction_RequestMirrorPolicy,
  type RouteAction_UpgradeConfig,
} from '@weft/contracts/envoy/config/route/v3/route_components'
import { UriTemplateRewriteConfig } from '@weft/contracts/envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import { compileMutations, type HeadEdit } from '../filters/http/head-edit.ts'
import type { FormatContext } from '../observe/format/context.ts'
import { compileTextFormat, type TextFormat } from '../observe/format/text-format.ts'
import { wireText } from '../observe/format/wire-text.ts'
import { durationMs } from '../plan/duration.ts'
import { invalid, unsupported } from '../plan/problems.ts'
import { compileFraction, type Runtime } from '../plan/runtime.ts'
import { isRecord, MetadataCriteria } from '../upstream/load-balancers/metadata-criteria.ts'
import { compileHashPolicies, type HashPolicies } from './hash-policy.ts'
import { compileHeaderEdits, type HeaderEdits } from './header-edits.ts'
import { compileInternalRedirect, type InternalRedirectPlan } from './internal-redirect.ts'
import { type HeadReader, headerReader, isPseudo } from './matchers/header-matcher.ts'
import { compileRegex, type Regex } from './matchers/regex.ts'
import { compileTemplateRewrite } from './matchers/uri-template.ts'
import { compileRetryPolicy, type RetryPlan } from './retry-policy.ts'
import { type PathMatch, pathOnly } from './route-match.ts'

/** One of the clusters a route may send to. */
export interface ClusterChoice {
  name: string
  /** Of the weighted cluster's entry. */
  edits: HeaderEdits | null
  hostRewrite: string
  filterConfigs: ReadonlyMap<string, unknown> | null
  /** The route's metadata criteria and those of a weighted cluster's entry; null: the entry has none of its own. */
  metadataMatch: MetadataCriteria | null
}

function metadataCriteria(
  metadata: { filterMetadata: Readonly<Record<string, unknown>> } | undefined,
  outer: MetadataCriteria | null,
): MetadataCriteria | null {
  const own = metadata?.filterMetadata['envoy.lb']
  if (!isRecord(own)) return null
  return outer === null ? new MetadataCriteria(own) : outer.merge(own)
}

/** Where requests of a route go. */
export type ClusterSelector =
  | { type: 'one'; choice: ClusterChoice }
  | { type: 'header'; read: HeadReader }
  | {
      type: 'weighted'
      choices: readonly { weight: number; choice: ClusterChoice; read: HeadReader | null }[]
      total: number
      /** Weights that runtime may change; null: they stand. */
      weights: (() => readonly number[]) | null
      hashHeader: HeaderName | null
      /** The route's hash policies choose. */
      byHash: boolean
    }

/** Sends a copy elsewhere and ignores the answer. */
export interface MirrorPolicy {
  cluster: string
  header: HeaderName | null
  sample: () => boolean
  suffix: boolean
  /** Empty: that of the request. */
  host: string
  /** Of its copies alone. */
  edits: readonly HeadEdit[]
}

/** How a route sends requests on. */
export interface ForwardPlan {
  cluster: ClusterSelector
  /** What makes the hash that consistent hashing goes by; null: nothing. */
  hashing: HashPolicies | null
  /** The subset of endpoints that requests go to; null: any. */
  metadataMatch: MetadataCriteria | null
  notFoundStatus: number
  /** 0: none. */
  timeoutMs: number
  /** -1: the connection manager's. */
  idleTimeoutMs: number
  /** How long a whole response may wait for its client (HTTP/2); -1: as the connection manager says. */
  flushTimeoutMs: number
  /** -1: not set; 0: any grpc-timeout. */
  maxGrpcTimeoutMs: number
  /** By how much a longer grpc-timeout is shortened, as limit of the response and of the stream. */
  grpcOffsetMs: number
  grpcHeaderOffsetMs: number
  /** -1: the connection manager's; 0: none. */
  maxStreamMs: number
  /** Whether max_stream_duration is there: then the route's timeout and max_grpc_timeout are not. */
  limitsStream: boolean
  /** Up to which a grpc-timeout limits the stream; 0: any; -1: it does not. */
  grpcHeaderMaxMs: number
  retry: RetryPlan | null
  /** A try whose time is up goes on beside the next one. */
  hedges: boolean
  priority: 0 | 1
  rewrite: Rewrite | null
  hostRewrite: HostRewrite | null
  appendForwardedHost: boolean
  mirrors: readonly MirrorPolicy[]
  /** Redirects that are followed here; null: none. */
  internalRedirect: InternalRedirectPlan | null
  upgrades: ReadonlyMap<string, boolean>
  /** CONNECT requests end here and go on as their bytes; null: they are passed on. */
  tcp: TcpTermination | null
}

/** How requests are turned into bare connections (connect_config). */
interface TcpTermination {
  /** Of POST too. */
  allowsPost: boolean
  /** Of the PROXY header that the endpoint is told the client by; 0: none. */
  proxyHeader: 0 | 1 | 2
}

/** Gives the new path; empty: it stays. */
export type Rewrite = (path: string, context: FormatContext) => string

type HostRewrite =
  | { type: 'literal'; value: string }
  | { type: 'auto' }
  | { type: 'header'; header: HeaderName }
  | { type: 'format'; format: TextFormat }
  | { type: 'path-regex'; regex: Regex; substitution: string }

const notFoundCodes: Record<number, number> = {
  [RouteAction_ClusterNotFoundResponseCode.SERVICE_UNAVAILABLE]: 503,
  [RouteAction_ClusterNotFoundResponseCode.NOT_FOUND]: 404,
  [RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR]: 500,
}

/** Compiles a route's forwarding; `filterConfigs` compiles overrides of a weighted cluster's entry. */
export function compileForward(
  source: RouteAction,
  path: string,
  match: PathMatch,
  runtime: Runtime,
  virtualHostRetry: RetryPlan | null,
  virtualHostHedge: HedgePolicy | undefined,
  outerMirrors: readonly MirrorPolicy[],
  filterConfigs: (configs: RouteAction_Configs, path: string) => ReadonlyMap<string, unknown> | null,
): ForwardPlan {
  const stream = source.maxStreamDuration
  return {
    cluster: compileSelector(source, path, runtime, filterConfigs),
    hashing: compileHashPolicies(source.hashPolicy, `${path}.hash_policy`),
    metadataMatch: metadataCriteria(source.metadataMatch, null),
    notFoundStatus: notFoundCodes[source.clusterNotFoundResponseCode] ?? 503,
    timeoutMs: durationMs(source.timeout, 15_000),
    idleTimeoutMs: durationMs(source.idleTimeout, -1),
    flushTimeoutMs: durationMs(source.flushTimeout, -1),
    maxGrpcTimeoutMs: durationMs(source.maxGrpcTimeout, -1),
    grpcOffsetMs: durationMs(source.grpcTimeoutOffset, 0),
    grpcHeaderOffsetMs: durationMs(stream?.grpcTimeoutHeaderOffset, 0),
    maxStreamMs: durationMs(stream?.maxStreamDuration, -1),
    limitsStream: stream !== undefined,
    grpcHeaderMaxMs: durationMs(stream?.grpcTimeoutHeaderMax, -1),
    retry: source.retryPolicy === undefined ? virtualHostRetry : compileRetryPolicy(source.retryPolicy, `${path}.retry_policy`),
    hedges: (source.hedgePolicy ?? virtualHostHedge)?.hedgeOnPerTryTimeout ?? false,
    priority: source.priority === 1 ? 1 : 0,
    rewrite: compilePathRewrite(source, match, path),
    hostRewrite: compileHostRewrite(source, path),
    appendForwardedHost: source.appendXForwardedHost,
    mirrors:
      source.requestMirrorPolicies.length === 0
        ? outerMirrors
        : compileMirrors(source.requestMirrorPolicies, `${path}.request_mirror_policies`, runtime),
    internalRedirect:
      source.internalRedirectPolicy === undefined
        ? null
        : compileInternalRedirect(source.internalRedirectPolicy, `${path}.internal_redirect_policy`),
    ...compileUpgrades(source.upgradeConfigs, `${path}.upgrade_configs`),
  }
}

function compileUpgrades(sources: readonly RouteAction_UpgradeConfig[], path: string): Pick<ForwardPlan, 'upgrades' | 'tcp'> {
  const upgrades = new Map<string, boolean>()
  let tcp: TcpTermination | null = null
  sources.forEach(({ upgradeType, enabled, connectConfig }, i) => {
    const type = upgradeType.toLowerCase()
    if (upgrades.has(type)) throw invalid(`${path}[${i}].upgrade_type`, `duplicate upgrade '${upgradeType}'`)
    if (type === 'connect-udp') throw unsupported(`${path}[${i}].upgrade_type`, 'CONNECT-UDP')
    upgrades.set(type, enabled ?? true)
    if (connectConfig === undefined) return
    if (type !== 'connect') throw invalid(`${path}[${i}].connect_config`, `the upgrade type '${upgradeType}' is not CONNECT`)
    const header = connectConfig.proxyProtocolConfig
    tcp = { allowsPost: connectConfig.allowPost, proxyHeader: header === undefined ? 0 : header.version === Version.V2 ? 2 : 1 }
  })
  return { upgrades, tcp }
}

/** Compiles request_mirror_policies of a route, a virtual host or a whole table. */
export function compileMirrors(
  sources: readonly RouteAction_RequestMirrorPolicy[],
  path: string,
  runtime: Runtime,
): readonly MirrorPolicy[] {
  return sources.map((mirror, i) => {
    if ((mirror.cluster === '') === (mirror.clusterHeader === ''))
      throw invalid(`${path}[${i}]`, 'exactly one of cluster and cluster_header must be given')
    return {
      cluster: mirror.cluster,
      header: mirror.clusterHeader === '' ? null : headerName(mirror.clusterHeader),
      sample: mirror.runtimeFraction === undefined ? () => true : compileFraction(runtime, mirror.runtimeFraction),
      suffix: !mirror.disableShadowHostSuffixAppend,
      host: wireText(mirror.hostRewriteLiteral),
      edits: compileMutations(mirror.requestHeadersMutations, `${path}[${i}].request_headers_mutations`),
    }
  })
}

export type RouteAction_Configs = Readonly<Record<string, { typeUrl: string; value: Uint8Array }>>

function compileSelector(
  source: RouteAction,
  path: string,
  runtime: Runtime,
  filterConfigs: (configs: RouteAction_Configs, path: string) => ReadonlyMap<string, unknown> | null,
): ClusterSelector {
  const specifier = source.clusterSpecifier
  if (specifier === undefined) throw invalid(path, 'a route needs a cluster')
  switch (specifier.$case) {
    case 'cluster':
      return {
        type: 'one',
        choice: { name: specifier.value, edits: null, hostRewrite: '', filterConfigs: null, metadataMatch: null },
      }
    case 'clusterHeader':
      return { type: 'header', read: firstValue(specifier.value) }
    case 'weightedClusters': {
      const at = `${path}.weighted_clusters`
      const outerMatch = metadataCriteria(source.metadataMatch, null)
      const unweighed = specifier.value.clusters.findIndex(({ weight }) => weight === undefined)
      if (unweighed >= 0) throw invalid(`${at}.clusters[${unweighed}].weight`, 'is missing')
      const choices = specifier.value.clusters.map((entry, i) => ({
        weight: entry.weight ?? 0,
        read: entry.clusterHeader === '' ? null : firstValue(entry.clusterHeader),
        choice: {
          name: entry.name,
          edits: compileHeaderEdits(entry, `${at}.clusters[${i}]`),
          hostRewrite: entry.hostRewriteSpecifier?.value ?? '',
          filterConfigs: filterConfigs(entry.typedPerFilterConfig, `${at}.clusters[${i}]`),
          metadataMatch: metadataCriteria(entry.metadataMatch, outerMatch),
        },
      }))
      const total = choices.reduce((sum, { weight }) => sum + weight, 0)
      if (total === 0) throw invalid(at, 'the sum of weights must be greater than 0')
      if (total > maxUint32) throw invalid(at, `the sum of weights must not be greater than ${maxUint32}`)
      choices.forEach(({ read, choice }, i) => {
        if ((choice.name === '') === (read === null))
          throw invalid(`${at}.clusters[${i}]`, 'exactly one of name and cluster_header must be given')
      })
      const { runtimeKeyPrefix: prefix, randomValueSpecifier: random } = specifier.value
      return {
        type: 'weighted',
        choices,
        total,
        weights:
          prefix === '' ? null : () => choices.map(({ weight, choice }) => runtime.number(`${prefix}.${choice.name}`, weight)),
        hashHeader: random?.$case === 'headerName' ? headerName(random.value) : null,
        byHash: random?.$case === 'useHashPolicy' && random.value === true,
      }
    }
    default:
      throw unsupported(path, `cluster specifier '${specifier.$case}'`)
  }
}

const maxUint32 = 2 ** 32 - 1
const maxUint64 = 2n ** 64n - 1n

/** The cluster for a request; null: a header that should name one is absent. `draw`: 0 ≤ x < 1. */
export function selectCluster(selector: ClusterSelector, request: RequestHead, draw: number): ClusterChoice | null {
  switch (selector.type) {
    case 'one':
      return selector.choice
    case 'header': {
      const name = selector.read(request)
      return name === null || name === ''
        ? null
        : { name, edits: null, hostRewrite: '', filterConfigs: null, metadataMatch: null }
    }
    case 'weighted': {
      const weights = selector.weights?.() ?? null
      const total =
        weights === null
          ? selector.total
          : Math.max(
              1,
              weights.reduce((sum, weight) => sum + weight, 0),
            )
      let point = draw * total
      if (selector.hashHeader !== null) {
        const text = request.headers.get(selector.hashHeader) ?? ''
        const value = /^\d{1,20}$/.test(text) ? BigInt(text) : maxUint64 + 1n
        if (value <= maxUint64) point = Number(value % BigInt(total))
      }
      for (let i = 0; i < selector.choices.length; i++) {
        const { weight, choice, read } = selector.choices[i]!
        point -= weights === null ? weight : weights[i]!
        if (point >= 0) continue
        if (read === null) return choice
        const name = read(request)
        return name === null ? null : { ...choice, name }
      }
      return selector.choices[selector.choices.length - 1]!.choice
    }
  }
}

/** A cluster's name is the first value of a header, where there are several. */
function firstValue(name: string): HeadReader {
  if (isPseudo(name)) return headerReader(name)
  const header = headerName(name)
  return ({ headers }) => headers.get(header)
}

function compilePathRewrite(source: RouteAction, match: PathMatch, path: string): Rewrite | null {
  const { prefixRewrite, regexRewrite, pathRewritePolicy, pathRewrite } = source
  if (match.type === 'regex' && match.template !== undefined && prefixRewrite !== '')
    throw invalid(`${path}.prefix_rewrite`, 'cannot be used with path_match_policy', 'use path_rewrite_policy')
  const given = [prefixRewrite !== '', regexRewrite !== undefined, pathRewritePolicy !== undefined, pathRewrite !== '']
  if (given.filter(Boolean).length > 1)
    throw invalid(path, 'only one of prefix_rewrite, regex_rewrite, path_rewrite_policy and path_rewrite may be given')
  if (pathRewritePolicy !== undefined) return compileRewritePolicy(pathRewritePolicy, match, `${path}.path_rewrite_policy`)
  if (pathRewrite === '') return compileRewrite(prefixRewrite, regexRewrite, match, path)
  const format = compileTextFormat(pathRewrite, `${path}.path_rewrite`, '')
  return (full, context) => {
    const made = format(context)
    return made === '' ? '' : made + full.slice(pathOnly(full).length)
  }
}

function compileRewritePolicy(policy: TypedExtensionConfig, match: PathMatch, path: string): Rewrite {
  const config = policy.typedConfig
  if (config === undefined || !config.typeUrl.endsWith('.uri_template.v3.UriTemplateRewriteConfig'))
    throw unsupported(`${path}.typed_config`, `path rewrite policy '${config?.typeUrl ?? policy.name}'`)
  if (match.type !== 'regex' || match.template === undefined)
    throw invalid(path, 'unable to use uri_template_rewriter extension without uri_template_matcher extension')
  const { pathTemplateRewrite } = UriTemplateRewriteConfig.decode(config.value)
  const rewrite = compileTemplateRewrite(match.template, pathTemplateRewrite, `${path}.typed_config.path_template_rewrite`)
  return (full) => {
    const only = pathOnly(full)
    return rewrite(only) + full.slice(only.length)
  }
}

/** Compiles prefix_rewrite or regex_rewrite; the query stays. */
export function compileRewrite(
  prefix: string,
  regex: { pattern: { regex: string } | undefined; substitution: string } | undefined,
  match: PathMatch,
  path: string,
): Rewrite | null {
  if (prefix !== '' && regex !== undefined) throw invalid(path, 'only one of prefix_rewrite and regex_rewrite may be given')
  if (prefix !== '') {
    const start = wireText(prefix)
    const length = match.type === 'prefix' || match.type === 'separated-prefix' ? match.value.length : null
    return (full) => {
      const end = pathOnly(full).length
      return start + full.slice(length === null ? end : Math.min(length, end))
    }
  }
  if (regex?.pattern === undefined) return null
  const compiled = compileRegex(regex.pattern.regex, `${path}.regex_rewrite.pattern.regex`)
  const { substitution } = regex
  return (full) => {
    const only = pathOnly(full)
    const made = compiled.replaceAll(only, substitution)
    return made === '' ? '' : made + full.slice(only.length)
  }
}

function compileHostRewrite(source: RouteAction, path: string): HostRewrite | null {
  const specifier = source.hostRewriteSpecifier
  switch (specifier?.$case) {
    case undefined:
      return null
    case 'hostRewriteLiteral':
      return specifier.value === '' ? null : { type: 'literal', value: wireText(specifier.value) }
    case 'hostRewrite':
      if (specifier.value === '') return null
      return { type: 'format', format: compileTextFormat(specifier.value, `${path}.host_rewrite`, '-') }
    case 'autoHostRewrite':
      return specifier.value === true ? { type: 'auto' } : null
    case 'hostRewriteHeader':
      return { type: 'header', header: headerName(specifier.value) }
    case 'hostRewritePathRegex': {
      const at = `${path}.host_rewrite_path_regex`
      if (specifier.value.pattern === undefined) throw invalid(at, 'a pattern is needed')
      return {
        type: 'path-regex',
        regex: compileRegex(specifier.value.pattern.regex, `${at}.pattern.regex`),
        substitution: specifier.value.substitution,
      }
    }
  }
}
