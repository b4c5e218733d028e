import { type RedirectAction, RedirectAction_RedirectResponseCode } from '@weft/contracts/envoy/config/route/v3/route_components'
import type { RequestHead } from '@weft/http/message'
import { compileRewrite } from './route-action.ts'
import { type PathMatch, pathOnly } from './route-match.ts'

/** A redirect: its status, and the Location for a request. */
export interface RedirectPlan {
  status: number
  location(request: RequestHead): string
}

const codes: Record<number, number> = {
  [RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY]: 301,
  [RedirectAction_RedirectResponseCode.FOUND]: 302,
  [RedirectAction_RedirectResponseCode.SEE_OTHER]: 303,
  [RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT]: 307,
  [RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT]: 308,
}

/** Compiles a redirect. */
export function compileRedirect(source: RedirectAction, path: string, match: PathMatch): RedirectPlan {
  const scheme = source.schemeRewriteSpecifier
  const rewriting = source.pathRewriteSpecifier
  const rewrite = compileRewrite(
    rewriting?.$case === 'prefixRewrite' ? rewriting.value : '',
    rewriting?.$case === 'regexRewrite' ? rewriting.value : undefined,
    match,
    path,
  )
  const pathRedirect = rewriting?.$case === 'pathRedirect' ? rewriting.value : ''
  return {
    status: codes[source.responseCode] ?? 301,
    location(request) {
      const from = request.scheme
      const to =
        scheme?.$case === 'httpsRedirect' && scheme.value
          ? 'https'
          : scheme?.$case === 'schemeRedirect' && scheme.value !== ''
            ? scheme.value
            : from
      let host = source.hostRedirect === '' ? request.authority : source.hostRedirect
      if (source.portRedirect !== 0) host = `${withoutPort(host)}:${source.portRedirect}`
      else if (source.hostRedirect === '' && to !== from) {
        // The old scheme's own port means nothing under the new one.
        const port = /:(\d+)$/.exec(host)?.[1]
        if ((from === 'http' && port === '80') || (from === 'https' && port === '443')) host = withoutPort(host)
      }
      const full = request.path
      const only = pathOnly(full)
      let target: string
      if (pathRedirect !== '')
        target = source.stripQuery || pathRedirect.includes('?') ? pathRedirect : pathRedirect + full.slice(only.length)
      else if (rewrite !== null) target = source.stripQuery ? rewrite(only) : rewrite(full)
      else target = source.stripQuery ? only : full
      return `${to}://${host}${target}`
    },
  }
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, '')
}
