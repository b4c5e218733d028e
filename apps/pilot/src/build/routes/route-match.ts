import { HeaderMatcher, QueryParameterMatcher, RouteMatch } from '@weft/contracts/envoy/config/route/v3/route_components'
import type { MetadataMatcher } from '@weft/contracts/envoy/type/matcher/v3/metadata'
import { StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import type { HTTPMatchRequest, StringMatch } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { anyValue, claimMatcher, claimPath, listValue, textValue } from '../security/claims.ts'
import { regexMatcher } from '../security/text-match.ts'

/** The Envoy match of one VirtualService match block; of no block: everything. */
export function routeMatch(match: HTTPMatchRequest | undefined): RouteMatch {
  if (match === undefined) return RouteMatch.fromPartial({ pathSpecifier: { $case: 'prefix', value: '/' } })
  const headers: HeaderMatcher[] = []
  const claims: MetadataMatcher[] = []
  for (const [name, value] of Object.entries(match.headers)) {
    if (isClaim(name)) claims.push(tokenClaim(name, value))
    else headers.push(headerMatcher(name.toLowerCase(), value))
  }
  for (const [name, value] of Object.entries(match.withoutHeaders)) {
    if (isClaim(name)) claims.push({ ...tokenClaim(name, value), invert: true })
    else headers.push({ ...headerMatcher(name.toLowerCase(), value), invertMatch: true })
  }
  for (const [name, value] of [
    [':method', match.method],
    [':authority', match.authority],
    [':scheme', match.scheme],
  ] as const) {
    if (value?.matchType !== undefined) headers.push(headerMatcher(name, value))
  }
  return RouteMatch.fromPartial({
    pathSpecifier: pathSpecifier(match.uri),
    caseSensitive: match.ignoreUriCase ? false : undefined,
    headers: headers.sort((a, b) => (a.name < b.name ? -1 : 1)),
    dynamicMetadata: claims,
    queryParameters: Object.entries(match.queryParams)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => queryParameterMatcher(name, value)),
  })
}

const claimsName = '@request.auth.claims'

/** Istio's way of asking for a claim of the request's token where headers are asked for. */
function isClaim(name: string): boolean {
  return name.startsWith(`${claimsName}.`) || name.startsWith(`${claimsName}[`)
}

/** `@request.auth.claims.a.b` and `@request.auth.claims[a][b]` are the same nested claim; a list is asked for one item. */
function tokenClaim(name: string, value: StringMatch): MetadataMatcher {
  const rest = name.slice(claimsName.length)
  const path = rest.startsWith('[') ? claimPath(rest) : rest.slice(1).split('.')
  const matcher = stringMatcher(value) ?? regexMatcher('.+')
  return claimMatcher(path, anyValue([listValue(textValue(matcher)), textValue(matcher)]))
}

function pathSpecifier(uri: StringMatch | undefined): RouteMatch['pathSpecifier'] {
  const match = uri?.matchType
  switch (match?.$case) {
    case 'exact':
      return { $case: 'path', value: match.value }
    case 'prefix':
      return { $case: 'prefix', value: match.value }
    case 'regex':
      return { $case: 'safeRegex', value: { engineType: undefined, regex: match.value } }
    default:
      return { $case: 'prefix', value: '/' }
  }
}

/** A match by exact value, prefix or regex; undefined for one that is empty. */
export function stringMatcher(match: StringMatch | undefined): StringMatcher | undefined {
  const type = match?.matchType
  if (type === undefined) return undefined
  if (type.$case === 'regex') {
    return StringMatcher.fromPartial({ matchPattern: { $case: 'safeRegex', value: { regex: type.value } } })
  }
  return StringMatcher.fromPartial({ matchPattern: type })
}

/** An empty match asks only that the header is there, as Istio documents for `{}`; so does the regex `*`. */
function headerMatcher(name: string, match: StringMatch | undefined): HeaderMatcher {
  const matcher = stringMatcher(match)
  const anything = matcher === undefined || (match?.matchType?.$case === 'regex' && match.matchType.value === '*')
  return HeaderMatcher.fromPartial({
    name,
    headerMatchSpecifier: anything ? { $case: 'presentMatch', value: true } : { $case: 'stringMatch', value: matcher },
  })
}

function queryParameterMatcher(name: string, match: StringMatch): QueryParameterMatcher {
  const matcher = stringMatcher(match)
  return QueryParameterMatcher.fromPartial({
    name,
    queryParameterMatchSpecifier:
      matcher === undefined ? { $case: 'presentMatch', value: true } : { $case: 'stringMatch', value: matcher },
  })
}
