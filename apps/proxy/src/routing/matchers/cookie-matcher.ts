import type { CookieMatcher } from '@weft/contracts/envoy/config/route/v3/route_components'
import { headerName } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import { compileStringMatcher } from './string-matcher.ts'

const cookieHeader = headerName('cookie')

/** Compiles an `envoy.config.route.v3.CookieMatcher`: the first cookie of that name decides, without its quotes. */
export function compileCookieMatcher(matcher: CookieMatcher, path: string): (request: RequestHead) => boolean {
  const { name, invertMatch } = matcher
  const matches = compileStringMatcher(
    matcher.stringMatch ?? { matchPattern: undefined, ignoreCase: false },
    `${path}.string_match`,
  )
  return (request) => {
    const value = cookie(request, name)
    return (value !== null && matches(value)) !== invertMatch
  }
}

/** The value of a request's first cookie of that name; null: there is none. */
function cookie({ headers }: RequestHead, name: string): string | null {
  for (let i = headers.find(cookieHeader); i >= 0; i = headers.find(cookieHeader, i + 1)) {
    for (const pair of headers.valueAt(i).split(';')) {
      const text = pair.trim()
      if (!text.startsWith(name) || text[name.length] !== '=') continue
      const value = text.slice(name.length + 1)
      return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
    }
  }
  return null
}
