import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { type RouteAction, RouteAction_ClusterNotFoundResponseCode } from '@weft/contracts/envoy/config/route/v3/route_components'
import { UriTemplateRewriteConfig } from '@weft/contracts/envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import { durationMs } from '../plan/duration.ts'
import { invalid, unsupported } from '../plan/problems.ts'
import { compileFraction, type Runtime } from '../plan/runtime.ts'
import { isRecord, MetadataCriteria } from '../upstream/load-balancers/metadata-criteria.ts'
import { compileHashPolicies, type HashPolicies } from './hash-policy.ts'
import { compileHeaderEdits, type HeaderEdits } from './header-edits.ts'
import { compileInternalRedirect, type InternalRedirectPlan } from './internal-redirect.ts'
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
  | { type: 'header'; header: HeaderName }
  | {
      type: 'weighted'
      choices: readonly { weight: number; choice: ClusterChoice; header: HeaderName | null }[]
      total: number
      hashHeader: HeaderName | null
    }

/** Sends a copy elsewhere and ignores the answer. */
export interface MirrorPolicy {
  cluster: string
  header: HeaderName | null
  sample: () => boolean
  suffix: boolean
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
  /** -1: not set; 0: any grpc-timeout. */
  maxGrpcTimeoutMs: number
  maxStreamMs: number
  /** Whether max_stream_duration is there: then the route's timeout and max_grpc_timeout are not. */
  limitsStream: boolean
  /** Up to which a grpc-timeout limits the stream; 0: any; -1: it does not. */
  grpcHeaderMaxMs: number
  retry: RetryPlan | null
  priority: 0 | 1
  rewrite: Rewrite | null
  hostRewrite: HostRewrite | null
  appendForwardedHost: boolean
  mirrors: readonly MirrorPolicy[]
  /** Redirects that are followed here; null: none. */
  internalRedirect: InternalRedirectPlan | null
  upgrades: ReadonlyMap<string, boolean>
}

/** Gives the new path. */
export type Rewrite = (path: string) => string

export type HostRewrite =
  | { type: 'literal'; value: string }
  | { type: 'auto' }
  | { type: 'header'; header: HeaderName }
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
  filterConfigs: (configs: RouteAction_Configs, path: string) => ReadonlyMap<string, unknown> | null,
): ForwardPlan {
  const stream = source.maxStreamDuration
  return {
    cluster: compileSelector(source, path, filterConfigs),
    hashing: compileHashPolicies(source.hashPolicy, `${path}.hash_policy`),
    metadataMatch: metadataCriteria(source.metadataMatch, null),
    notFoundStatus: notFoundCodes[source.clusterNotFoundResponseCode] ?? 503,
    timeoutMs: durationMs(source.timeout, 15_000),
    idleTimeoutMs: durationMs(source.idleTimeout, -1),
    maxGrpcTimeoutMs: durationMs(source.maxGrpcTimeout, -1),
    maxStreamMs: durationMs(stream?.maxStreamDuration, 0),
    limitsStream: stream !== undefined,
    grpcHeaderMaxMs: durationMs(stream?.grpcTimeoutHeaderMax, -1),
    retry: source.retryPolicy === undefined ? virtualHostRetry : compileRetryPolicy(source.retryPolicy, `${path}.retry_policy`),
    priority: source.priority === 1 ? 1 : 0,
    rewrite:
      source.pathRewritePolicy === undefined
        ? compileRewrite(source.prefixRewrite, source.regexRewrite, match, path)
        : compileRewritePolicy(source.pathRewritePolicy, match, `${path}.path_rewrite_policy`),
    hostRewrite: compileHostRewrite(source, path),
    appendForwardedHost: source.appendXForwardedHost,
    mirrors: source.requestMirrorPolicies.map((mirror) => ({
      cluster: mirror.cluster,
      header: mirror.clusterHeader === '' ? null : headerName(mirror.clusterHeader),
      sample: mirror.runtimeFraction === undefined ? () => true : compileFraction(runtime, mirror.runtimeFraction),
      suffix: !mirror.disableShadowHostSuffixAppend,
    })),
    internalRedirect:
      source.internalRedirectPolicy === undefined
        ? null
        : compileInternalRedirect(source.internalRedirectPolicy, `${path}.internal_redirect_policy`),
    upgrades: new Map(source.upgradeConfigs.map((upgrade) => [upgrade.upgradeType.toLowerCase(), upgrade.enabled ?? true])),
  }
}

export type RouteAction_Configs = Readonly<Record<string, { typeUrl: string; value: Uint8Array }>>

function compileSelector(
  source: RouteAction,
  path: string,
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
      return { type: 'header', header: headerName(specifier.value) }
    case 'weightedClusters': {
      const at = `${path}.weighted_clusters`
      const outerMatch = metadataCriteria(source.metadataMatch, null)
      const choices = specifier.value.clusters.map((entry, i) => ({
        weight: entry.weight ?? 0,
        header: entry.clusterHeader === '' ? null : headerName(entry.clusterHeader),
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
      const random = specifier.value.randomValueSpecifier
      return { type: 'weighted', choices, total, hashHeader: random?.$case === 'headerName' ? headerName(random.value) : null }
    }
    default:
      throw unsupported(path, `cluster specifier '${specifier.$case}'`)
  }
}

const maxUint64 = 2n ** 64n - 1n

/** The cluster for a request; null: a header that should name one is absent. `draw`: 0 ≤ x < 1. */
export function selectCluster(selector: ClusterSelector, request: RequestHead, draw: number): ClusterChoice | null {
  switch (selector.type) {
    case 'one':
      return selector.choice
    case 'header': {
      const name = request.headers.get(selector.header)
      return name === null || name === ''
        ? null
        : { name, edits: null, hostRewrite: '', filterConfigs: null, metadataMatch: null }
    }
    case 'weighted': {
      let point = draw * selector.total
      if (selector.hashHeader !== null) {
        const text = request.headers.get(selector.hashHeader) ?? ''
        const value = /^\d{1,20}$/.test(text) ? BigInt(text) : maxUint64 + 1n
        if (value <= maxUint64) point = Number(value % BigInt(selector.total))
      }
      for (const { weight, choice, header } of selector.choices) {
        point -= weight
        if (point >= 0) continue
        if (header === null || choice.name !== '') return choice
        const name = request.headers.get(header)
        return name === null ? null : { ...choice, name }
      }
      return selector.choices[selector.choices.length - 1]!.choice
    }
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
    const length = match.type === 'prefix' || match.type === 'separated-prefix' ? match.value.length : null
    return (full) => {
      const end = pathOnly(full).length
      return prefix + full.slice(length === null ? end : Math.min(length, end))
    }
  }
  if (regex?.pattern === undefined) return null
  const compiled = compileRegex(regex.pattern.regex, `${path}.regex_rewrite.pattern.regex`)
  const { substitution } = regex
  return (full) => {
    const only = pathOnly(full)
    return compiled.replaceAll(only, substitution) + full.slice(only.length)
  }
}

function compileHostRewrite(source: RouteAction, path: string): HostRewrite | null {
  const specifier = source.hostRewriteSpecifier
  switch (specifier?.$case) {
    case undefined:
      return null
    case 'hostRewriteLiteral':
      return specifier.value === '' ? null : { type: 'literal', value: specifier.value }
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
