import type { CookieMatcher } from '@weft/contracts/envoy/config/route/v3/route_components'
import type { RequestHead } from '@weft/http/message'
import { cookieValue } from '../cookie.ts'
import { compileStringMatcher } from './string-matcher.ts'

/** Compiles an `envoy.config.route.v3.CookieMatcher`: the first cookie of that name decides, without its quotes. */
export function compileCookieMatcher(matcher: CookieMatcher, path: string): (request: RequestHead) => boolean {
  const { name, invertMatch } = matcher
  const matches = compileStringMatcher(
    matcher.stringMatch ?? { matchPattern: undefined, ignoreCase: false },
    `${path}.string_match`,
  )
  return (request) => {
    const value = cookieValue(request.headers, name)
    return (value !== null && matches(value)) !== invertMatch
  }
}
