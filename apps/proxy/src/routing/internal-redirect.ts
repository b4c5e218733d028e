import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import type { InternalRedirectPolicy } from '@weft/contracts/envoy/config/route/v3/route_components'
import { AllowListedRoutesConfig } from '@weft/contracts/envoy/extensions/internal_redirect/allow_listed_routes/v3/allow_listed_routes_config'
import { type HeaderName, headerName } from '@weft/http/header-name'
import { invalid, unsupported } from '../plan/problems.ts'
import { isPseudo } from './matchers/header-matcher.ts'

/** A redirect that might be followed: from where, by which schemes, to which route. */
export interface RedirectStep {
  fromScheme: string
  toScheme: string
  /** Names of the routes: that which was left, that which would be taken, and those that redirects were followed to before. */
  fromRoute: string
  toRoute: string
  visited: ReadonlySet<string>
}

type RedirectPredicate = (step: RedirectStep) => boolean

/** Redirects that the proxy follows itself. */
export interface InternalRedirectPlan {
  codes: ReadonlySet<number>
  most: number
  crossScheme: boolean
  copied: readonly HeaderName[]
  /** All have to hold. */
  predicates: readonly RedirectPredicate[]
}

/** Codes that are redirects at all; others of a policy are not followed. */
const redirects = new Set([301, 302, 303, 307, 308])

/** Compiles internal_redirect_policy. */
export function compileInternalRedirect(source: InternalRedirectPolicy, path: string): InternalRedirectPlan {
  source.responseHeadersToCopy.forEach((name, i) => {
    if (isPseudo(name))
      throw invalid(`${path}.response_headers_to_copy[${i}]`, `:-prefixed headers or Host may not be specified here: '${name}'`)
  })
  const codes = source.redirectResponseCodes.filter((code) => redirects.has(code))
  return {
    codes: new Set(source.redirectResponseCodes.length === 0 ? [302] : codes),
    most: source.maxInternalRedirects ?? 1,
    crossScheme: source.allowCrossSchemeRedirect,
    copied: source.responseHeadersToCopy.map(headerName),
    predicates: source.predicates.map((one, i) => compilePredicate(one, `${path}.predicates[${i}].typed_config`)),
  }
}

const prefix = 'envoy.extensions.internal_redirect.'

function compilePredicate({ name, typedConfig }: TypedExtensionConfig, path: string): RedirectPredicate {
  const type = typedConfig?.typeUrl.split('/').pop() ?? ''
  switch (type) {
    case `${prefix}allow_listed_routes.v3.AllowListedRoutesConfig`: {
      const { allowedRouteNames } = AllowListedRoutesConfig.decode(typedConfig?.value ?? new Uint8Array())
      const allowed = new Set(allowedRouteNames)
      return ({ toRoute }) => allowed.has(toRoute)
    }
    case `${prefix}previous_routes.v3.PreviousRoutesConfig`:
      return ({ toRoute, visited }) => !visited.has(toRoute)
    case `${prefix}safe_cross_scheme.v3.SafeCrossSchemeConfig`:
      // Never from the clear into TLS: the client did not ask for it.
      return ({ fromScheme, toScheme }) => fromScheme === 'https' || toScheme === 'http'
    default:
      throw unsupported(path, `the redirect predicate '${type === '' ? name : type}'`)
  }
}

/** Where a Location leads, when it is an absolute one, by whatever scheme; the fragment is the client's own. */
export function redirectTarget(location: string): { scheme: string; authority: string; path: string } | null {
  const match = /^([a-z][a-z0-9+.-]*):\/\/((?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?)([/?][^#\s]*)?(?:#.*)?$/i.exec(location)
  if (match === null) return null
  const path = match[3] ?? '/'
  return { scheme: match[1]!.toLowerCase(), authority: match[2]!, path: path.startsWith('/') ? path : `/${path}` }
}
