import { type RedirectAction, RedirectAction_RedirectResponseCode } from '@weft/contracts/envoy/config/route/v3/route_components'
import { names } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import type { FormatContext } from '../observe/format/context.ts'
import { compileTextFormat } from '../observe/format/text-format.ts'
import { wireText } from '../observe/format/wire-text.ts'
import { compileRewrite } from './route-action.ts'
import { type PathMatch, pathOnly } from './route-match.ts'

/** Of which requests a virtual host wants TLS. */
export type TlsRequirement = 'external' | 'all'

/** A redirect: its status, and the Location for a request. */
export interface RedirectPlan {
  status: number
  location(request: RequestHead, context: FormatContext): string
  /** What becomes of the request's path, for whoever looks at it afterwards; null: it stays. */
  rewrite: ((path: string, context: FormatContext) => string) | null
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
  const format = rewriting?.$case === 'pathRewrite' ? compileTextFormat(rewriting.value, `${path}.path_rewrite`, '') : null
  const pathRedirect = rewriting?.$case === 'pathRedirect' ? wireText(rewriting.value) : ''
  const hostRedirect = wireText(source.hostRedirect)
  return {
    status: codes[source.responseCode] ?? 301,
    rewrite,
    location(request, context) {
      const from = request.scheme
      const to =
        scheme?.$case === 'httpsRedirect' && scheme.value
          ? 'https'
          : scheme?.$case === 'schemeRedirect' && scheme.value !== ''
            ? scheme.value
            : from
      let host = hostRedirect === '' ? request.authority : hostRedirect
      // A port that the configuration names with the host stays, as with Envoy.
      if (source.portRedirect !== 0) host = `${hostRedirect === '' ? withoutPort(host) : host}:${source.portRedirect}`
      else if (hostRedirect === '') {
        // The own port of the scheme that the request came by means nothing under another one.
        const came = request.headers.get(names.forwardedProto)
        const port = /:(\d+)$/.exec(host)?.[1]
        if (to !== came && ((came === 'http' && port === '80') || (came === 'https' && port === '443'))) host = withoutPort(host)
      }
      const full = request.path
      const only = pathOnly(full)
      let target: string
      const literal = format === null ? pathRedirect : format(context)
      if (literal !== '') target = source.stripQuery || literal.includes('?') ? literal : literal + full.slice(only.length)
      else if (rewrite !== null) target = rewrite(source.stripQuery ? only : full, context) || full
      else target = source.stripQuery ? only : full
      return `${to}://${host}${target.startsWith('/') ? '' : '/'}${target}`
    },
  }
}

/** Whether a request that came in the clear, as x-forwarded-proto has it before its own scheme, has to come by TLS. */
export function belongsToTls(required: TlsRequirement, request: RequestHead, internal: boolean): boolean {
  const scheme = request.headers.get(names.forwardedProto) ?? request.scheme
  return scheme !== 'https' && !(required === 'external' && internal)
}

function withoutPort(host: string): string {
  return host.replace(/:[^:\]]*$/, '')
}
