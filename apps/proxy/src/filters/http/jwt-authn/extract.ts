import type { JwtProvider } from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { type HeaderName, headerName } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'
import { cookieValue } from '../../../routing/cookie.ts'

/** Where a token may stand in a request. */
export type TokenLocation =
  | { readonly type: 'header'; readonly name: HeaderName; readonly prefix: string }
  | { readonly type: 'parameter'; readonly name: string }
  | { readonly type: 'cookie'; readonly name: string }

/** A token as found, and where. */
export interface FoundToken {
  readonly text: string
  readonly location: TokenLocation
}

/** The locations a provider names; without any, `Authorization: Bearer` and the parameter `access_token` (RFC 6750). */
export function locationsOf(provider: JwtProvider): readonly TokenLocation[] {
  const named: TokenLocation[] = [
    ...provider.fromHeaders.map(
      ({ name, valuePrefix }) => ({ type: 'header', name: headerName(name), prefix: valuePrefix }) as const,
    ),
    ...provider.fromParams.map((name) => ({ type: 'parameter', name }) as const),
    ...provider.fromCookies.map((name) => ({ type: 'cookie', name }) as const),
  ]
  if (named.length > 0) return named.sort(inOrder)
  return [
    { type: 'header', name: headerName('authorization'), prefix: 'Bearer ' },
    { type: 'parameter', name: 'access_token' },
  ]
}

const kinds: readonly TokenLocation['type'][] = ['header', 'parameter', 'cookie']

/** How Envoy looks at places: headers first, then parameters, then cookies, each by their names. */
export function inOrder(a: TokenLocation, b: TokenLocation): number {
  if (a.type !== b.type) return kinds.indexOf(a.type) - kinds.indexOf(b.type)
  const [one, other] = [placeOf(a), placeOf(b)]
  return one < other ? -1 : one > other ? 1 : 0
}

/** Tells places apart. */
export function placeOf(location: TokenLocation): string {
  return location.type === 'header' ? `header ${location.name.name}${location.prefix}` : `${location.type} ${location.name}`
}

/** Where a compact token may begin: base64url and the dots. */
const tokenCharacter = /[A-Za-z0-9_.-]/

/** The tokens that stand in these locations, in their order. */
export function findTokens(request: RequestHead, locations: readonly TokenLocation[]): FoundToken[] {
  const found: FoundToken[] = []
  for (const location of locations) {
    for (const text of tokensAt(request, location)) found.push({ text, location })
  }
  return found
}

function tokensAt(request: RequestHead, location: TokenLocation): string[] {
  if (location.type !== 'header') {
    const value =
      location.type === 'parameter' ? queryParameter(request.path, location.name) : cookieValue(request.headers, location.name)
    return value === null ? [] : [value]
  }
  const values = request.headers.getAll(location.name)
  if (values === null) return []
  // Without a prefix, several values are several tokens.
  if (location.prefix === '') return values.split(',').map((value) => value.trim())
  const token = afterPrefix(values, location.prefix)
  return token === null ? [] : [token]
}

/** What follows the prefix, from the first character on that a token may have. */
function afterPrefix(value: string, prefix: string): string | null {
  const at = value.indexOf(prefix)
  if (at < 0) return null
  const rest = value.slice(at + prefix.length)
  const begin = rest.search(tokenCharacter)
  return begin < 0 ? rest : rest.slice(begin)
}

function queryParameter(path: string, name: string): string | null {
  const query = path.indexOf('?')
  return query < 0 ? null : new URLSearchParams(path.slice(query + 1)).get(name)
}

/** Takes a token out of the request, so that it is not forwarded; cookies stay, as in Envoy. */
export function removeToken(request: RequestHead, location: TokenLocation): void {
  if (location.type === 'header') request.headers.remove(location.name)
  if (location.type === 'parameter') request.path = withoutParameter(request.path, location.name)
}

function withoutParameter(path: string, name: string): string {
  const query = path.indexOf('?')
  if (query < 0) return path
  const kept = path
    .slice(query + 1)
    .split('&')
    .filter((pair) => pair !== name && !pair.startsWith(`${name}=`))
  return kept.length === 0 ? path.slice(0, query) : `${path.slice(0, query)}?${kept.join('&')}`
}
