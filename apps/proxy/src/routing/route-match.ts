import type { RouteMatch, RouteMatch_TlsContextMatchOptions } from '@weft/contracts/envoy/config/route/v3/route_components'
import { UriTemplateMatchConfig } from '@weft/contracts/envoy/extensions/path/match/uri_template/v3/uri_template_match'
import { names } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'
import { wireText } from '../observe/format/wire-text.ts'
import { invalid, unsupported } from '../plan/problems.ts'
import { compileFraction, type Runtime } from '../plan/runtime.ts'
import { compileCookieMatcher } from './matchers/cookie-matcher.ts'
import { compileFilterStateMatcher } from './matchers/filter-state-matcher.ts'
import { compileHeaderMatcher } from './matchers/header-matcher.ts'
import type { MatchSubject } from './matchers/match-input.ts'
import { compileMetadataMatcher } from './matchers/metadata-matcher.ts'
import { compileQueryParameterMatcher } from './matchers/query-parameter-matcher.ts'
import { compileRegex } from './matchers/regex.ts'
import { compileTemplate } from './matchers/uri-template.ts'

/** What route matches look at besides the request's head. */
export interface RouteFacts extends MatchSubject {
  /** Dynamic metadata by filter; null: none. */
  readonly metadataOrNull: Readonly<Record<string, Record<string, unknown>>> | null
}

/** Says whether a request matches; `draw` (0 ≤ x < 1) decides runtime fractions, drawn when not given. */
export type RouteMatcher = (request: RequestHead, facts: RouteFacts, draw?: number) => boolean

/** A path template, by whose names a rewrite may go. */
type PathTemplate = ReturnType<typeof compileTemplate>

/** The path part of a match, in a form an index can use. `connect`: CONNECT requests only. */
export type PathMatch =
  | { readonly type: 'prefix' | 'exact' | 'separated-prefix'; readonly value: string; readonly caseSensitive: boolean }
  | { readonly type: 'regex'; readonly matches: (path: string) => boolean; readonly template?: PathTemplate }
  | { readonly type: 'connect' }

/** The path without query and fragment: what path matches look at. */
export function pathOnly(target: string): string {
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i)
    if (code === 63 || code === 35) return target.slice(0, i)
  }
  return target
}

/** Compiles the path specifier of a route match. */
export function compilePathMatch(match: RouteMatch, path: string): PathMatch {
  const specifier = match.pathSpecifier
  const caseSensitive = match.caseSensitive ?? true
  switch (specifier?.$case) {
    case undefined:
      throw invalid(path, 'the route match has no path specifier')
    case 'prefix':
      return { type: 'prefix', value: wireText(specifier.value), caseSensitive }
    case 'path':
      return { type: 'exact', value: wireText(specifier.value), caseSensitive }
    case 'pathSeparatedPrefix':
      return { type: 'separated-prefix', value: wireText(specifier.value), caseSensitive }
    case 'safeRegex': {
      const regex = compileRegex(specifier.value.regex, `${path}.safe_regex.regex`)
      return { type: 'regex', matches: (text) => regex.fullMatch(text) }
    }
    case 'connectMatcher':
      return { type: 'connect' }
    case 'pathMatchPolicy': {
      const at = `${path}.path_match_policy.typed_config`
      const config = specifier.value.typedConfig
      if (config === undefined || !config.typeUrl.endsWith('.uri_template.v3.UriTemplateMatchConfig'))
        throw unsupported(at, `path match policy '${config?.typeUrl ?? specifier.value.name}'`)
      const template = compileTemplate(UriTemplateMatchConfig.decode(config.value).pathTemplate, `${at}.path_template`)
      return { type: 'regex', matches: (text) => template.regex.test(text), template }
    }
  }
}

/** Whether a request's path (without query) matches; `method` for CONNECT; `whole`: with the path parameters that `path` is without. */
export function pathMatches(match: PathMatch, path: string, method: string, whole = path): boolean {
  switch (match.type) {
    case 'connect':
      return method === 'CONNECT'
    case 'regex':
      return match.matches(match.template === undefined ? path : whole)
    case 'exact':
      return match.caseSensitive ? path === match.value : path.toLowerCase() === match.value.toLowerCase()
    case 'prefix':
      return match.caseSensitive ? path.startsWith(match.value) : path.toLowerCase().startsWith(match.value.toLowerCase())
    case 'separated-prefix': {
      const starts = match.caseSensitive ? path.startsWith(match.value) : path.toLowerCase().startsWith(match.value.toLowerCase())
      return starts && (path.length === match.value.length || path.charCodeAt(match.value.length) === 47)
    }
  }
}

/** Everything of a route match besides the path: headers, query, fraction, gRPC; null when there is nothing to ask. */
export function compileConditions(match: RouteMatch, path: string, runtime: Runtime): RouteMatcher | null {
  const conditions: RouteMatcher[] = []
  conditions.push(...match.headers.map((matcher, i) => compileHeaderMatcher(matcher, `${path}.headers[${i}]`)))
  match.queryParameters.forEach((matcher, i) => {
    const matches = compileQueryParameterMatcher(matcher, `${path}.query_parameters[${i}]`)
    conditions.push((request) => matches(request.path))
  })
  if (match.grpc !== undefined) conditions.push(isGrpc)
  if (match.runtimeFraction !== undefined) {
    const drawn = compileFraction(runtime, match.runtimeFraction)
    conditions.push((_request, _facts, draw) => drawn(draw))
  }
  match.cookies.forEach((matcher, i) => {
    conditions.push(compileCookieMatcher(matcher, `${path}.cookies[${i}]`))
  })
  match.filterState.forEach(({ key, matcher }, i) => {
    const at = `${path}.filter_state[${i}]`
    if (matcher === undefined) throw invalid(at, 'a matcher is needed')
    const matches = compileFilterStateMatcher(matcher, at)
    conditions.push((_request, { filterState }) => matches(filterState.get(key)))
  })
  if (match.tlsContext !== undefined) conditions.push(...compileTlsContext(match.tlsContext))
  match.dynamicMetadata.forEach((matcher, i) => {
    const matches = compileMetadataMatcher(matcher, `${path}.dynamic_metadata[${i}]`)
    conditions.push((_request, { metadataOrNull }) => matches(metadataOrNull))
  })

  const [first, second] = conditions
  if (first === undefined) return null
  if (second === undefined) return first
  return (request, facts, draw) => conditions.every((condition) => condition(request, facts, draw))
}

/** Whether the client gave a certificate, and whether it was found good. */
function compileTlsContext({ presented, validated }: RouteMatch_TlsContextMatchOptions): RouteMatcher[] {
  const conditions: RouteMatcher[] = []
  if (presented !== undefined)
    conditions.push((_request, { connection }) => ((connection.tls?.peer ?? null) !== null) === presented)
  if (validated !== undefined)
    conditions.push((_request, { connection }) => (connection.tls?.peer?.verified ?? false) === validated)
  return conditions
}

function isGrpc(request: RequestHead): boolean {
  const type = request.headers.get(names.contentType)
  return type !== null && (type === 'application/grpc' || type.startsWith('application/grpc+'))
}

/** Compiles a whole route match, for those who need no index. */
export function compileRouteMatch(match: RouteMatch, path: string, runtime: Runtime): RouteMatcher {
  const byPath = compilePathMatch(match, path)
  const conditions = compileConditions(match, path, runtime)
  return (request, facts, draw) =>
    pathMatches(byPath, pathOnly(request.path), request.method) && (conditions === null || conditions(request, facts, draw))
}
