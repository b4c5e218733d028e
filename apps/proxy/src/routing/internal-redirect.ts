import type { InternalRedirectPolicy } from '@weft/contracts/envoy/config/route/v3/route_components'
import { type HeaderName, headerName } from '@weft/http/header-name'
import { invalid, unsupported } from '../plan/problems.ts'

/** Redirects that the proxy follows itself. */
export interface InternalRedirectPlan {
  codes: ReadonlySet<number>
  most: number
  crossScheme: boolean
  copied: readonly HeaderName[]
}

/** Codes that are redirects at all; others of a policy are not followed. */
const redirects = new Set([301, 302, 303, 307, 308])

/** Compiles internal_redirect_policy. */
export function compileInternalRedirect(source: InternalRedirectPolicy, path: string): InternalRedirectPlan {
  if (source.predicates.length > 0) throw unsupported(`${path}.predicates`, 'predicates of internal redirects')
  source.responseHeadersToCopy.forEach((name, i) => {
    if (name.startsWith(':') || name.toLowerCase() === 'host')
      throw invalid(`${path}.response_headers_to_copy[${i}]`, `:-prefixed headers or Host may not be specified here: '${name}'`)
  })
  const codes = source.redirectResponseCodes.filter((code) => redirects.has(code))
  return {
    codes: new Set(source.redirectResponseCodes.length === 0 ? [302] : codes),
    most: source.maxInternalRedirects ?? 1,
    crossScheme: source.allowCrossSchemeRedirect,
    copied: source.responseHeadersToCopy.map(headerName),
  }
}

/** Where a Location leads, when it is an absolute one; the fragment is the client's own. */
export function redirectTarget(location: string): { scheme: string; authority: string; path: string } | null {
  const match = /^(https?):\/\/((?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?)([/?][^#\s]*)?(?:#.*)?$/i.exec(location)
  if (match === null) return null
  const path = match[3] ?? '/'
  return { scheme: match[1]!.toLowerCase(), authority: match[2]!, path: path.startsWith('/') ? path : `/${path}` }
}
