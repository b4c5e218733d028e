import { CsrfPolicy } from '@weft/contracts/envoy/extensions/filters/http/csrf/v3/csrf'
import { headerName, names } from '@weft/http/header-name'
import { compileFraction } from '../../../plan/runtime.ts'
import { compileStringMatcher, type TextMatcher } from '../../../routing/matchers/string-matcher.ts'
import type { FilterContext, HttpFilterKind, HttpStream } from '../filter.ts'

const referer = headerName('referer')
const modifying = new Set(['POST', 'PUT', 'DELETE', 'PATCH'])

interface Policy {
  readonly enabled: () => boolean
  readonly shadowed: () => boolean
  readonly additionalOrigins: readonly TextMatcher[]
}

/** `envoy.filters.http.csrf`: requests that change something have to come from the origin they go to. */
export const csrf: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.csrf.v3.CsrfPolicy'],
  routeTypes: ['envoy.extensions.filters.http.csrf.v3.CsrfPolicy'],
  compile(bytes, context) {
    const own = compilePolicy(CsrfPolicy.decode(bytes), context)
    const stat = (name: string) => context.stats.counter(`${context.statPrefix}csrf.${name}`)
    const stats = { missing: stat('missing_source_origin'), invalid: stat('request_invalid'), valid: stat('request_valid') }
    const check = (stream: HttpStream, policy: Policy): 'continue' | 'stop' => {
      const enabled = policy.enabled()
      const shadowed = policy.shadowed()
      if ((!enabled && !shadowed) || !modifying.has(stream.request.method)) return 'continue'
      const source = sourceOrigin(stream)
      const fits =
        source !== '' && (source === targetOrigin(stream) || policy.additionalOrigins.some((matches) => matches(source)))
      if (source === '') stats.missing.inc()
      else if (!fits) stats.invalid.inc()
      if (fits) {
        stats.valid.inc()
        return 'continue'
      }
      if (!enabled) return 'continue'
      stream.reply(403, 'Invalid origin', { details: 'csrf_origin_mismatch' })
      return 'stop'
    }
    return {
      isShared: true,
      start(_stream, routeConfig) {
        const policy = routeConfig === undefined ? own : (routeConfig as Policy)
        return { onRequestHeaders: (stream) => check(stream, policy) }
      },
    }
  },
  compileRouteConfig: (bytes, _type, context) => compilePolicy(CsrfPolicy.decode(bytes), context),
}

function compilePolicy(source: CsrfPolicy, context: FilterContext): Policy {
  return {
    enabled: source.filterEnabled === undefined ? () => false : compileFraction(context.runtime, source.filterEnabled),
    shadowed: source.shadowEnabled === undefined ? () => false : compileFraction(context.runtime, source.shadowEnabled),
    additionalOrigins: source.additionalOrigins.map((matcher, i) =>
      compileStringMatcher(matcher, `${context.path}.additional_origins[${i}]`),
    ),
  }
}

/** Host and port that the request comes from, by Origin, else Referer; empty when neither says. */
function sourceOrigin({ request: { headers } }: HttpStream): string {
  const value = headers.get(names.origin) ?? ''
  // The browser hides where the request comes from (RFC 6454 section 7): Referer doesn't tell instead.
  if (value === 'null') return ''
  const origin = hostAndPort(value)
  return origin !== '' ? origin : hostAndPort(headers.get(referer) ?? '')
}

function targetOrigin({ request }: HttpStream): string {
  return request.authority === '' ? '' : hostAndPort(`${request.scheme}://${request.authority}`)
}

/** `host:port` of an absolute http URL as it is written; other texts as they are. */
function hostAndPort(url: string): string {
  return /^https?:\/\/([^/?#]+)/i.exec(url)?.[1] ?? url
}
