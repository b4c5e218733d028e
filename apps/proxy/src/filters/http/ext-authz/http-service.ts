import type { ExtAuthz, HttpService } from '@weft/contracts/envoy/extensions/filters/http/ext_authz/v3/ext_authz'
import { singleInResponses } from '@weft/http/header-name'
import { compileTextFormat, type TextFormat } from '../../../observe/format/text-format.ts'
import { durationMs } from '../../../plan/duration.ts'
import { isPseudo } from '../../../routing/matchers/header-matcher.ts'
import { type HttpAnswer, httpCall } from '../../../upstream/http-client.ts'
import type { FilterContext } from '../filter.ts'
import type { HeaderChange } from '../header-changes.ts'
import { type Check, type CheckInput, partialBody } from './check-input.ts'
import { compileSelection, type HeaderSelection } from './header-selection.ts'
import { validUtf8 } from './valid-utf8.ts'
import type { Verdict } from './verdict.ts'

/** Headers that a check always carries when the request has them. */
const always = new Set(['authorization'])
/** What belongs to a connection or is made anew. */
const hopByHop = new Set([
  ...['content-length', 'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'te', 'trailer', 'upgrade'],
])
/** What a denial tells the client besides what is configured. */
const alwaysToClient = new Set(['www-authenticate', 'location'])
const removalList = 'x-envoy-auth-headers-to-remove'
const singleNames: ReadonlySet<string> = new Set(singleInResponses.map(({ name }) => name))
/** Longest answer taken. */
const maxAnswerBytes = 1 << 20

/** Compiles the check by a plain HTTP service; null when only checking. */
export function compileHttpCheck(source: HttpService, filter: ExtAuthz, context: FilterContext): Check<Verdict> | null {
  const uri = source.serverUri
  // Without a cluster every check is an error, as in Envoy.
  const cluster = uri?.httpUpstreamType?.value ?? ''
  const timeoutMs = durationMs(uri?.timeout, 200)
  const path = `${context.path}.http_service`
  const { authorizationRequest: ask, authorizationResponse: answers } = source
  if (ask?.allowedHeaders !== undefined && filter.allowedHeaders !== undefined)
    return context.fail('allowed_headers', 'Invalid duplicate configuration for allowed_headers.')
  const allowed = [
    compileSelection(ask?.allowedHeaders, `${path}.authorization_request.allowed_headers`),
    compileSelection(filter.allowedHeaders, `${context.path}.allowed_headers`),
  ]
  const disallowed = compileSelection(filter.disallowedHeaders, `${context.path}.disallowed_headers`)
  const isSent: HeaderSelection = (name) =>
    (always.has(name) || allowed.some((selects) => selects?.(name) === true)) && disallowed?.(name) !== true
  const added = (ask?.headersToAdd ?? []).map(({ key, value }, i) => {
    const at = `authorization_request.headers_to_add[${i}]`
    if (isPseudo(key)) context.fail(`http_service.${at}.key`, "':'-prefixed or host headers may not be modified")
    return [key.toLowerCase(), compileTextFormat(value, `${path}.${at}.value`, '')] as const
  })
  const { pathPrefix, pathOverride } = source
  if (pathPrefix !== '' && pathOverride !== '')
    return context.fail('http_service', 'only one of path_prefix and path_override may be set')
  if (pathPrefix !== '' && !pathPrefix.startsWith('/'))
    return context.fail('http_service.path_prefix', 'path_prefix should start with "/"')
  if (pathOverride !== '' && !pathOverride.startsWith('/'))
    return context.fail('http_service.path_override', 'path_override should start with "/"')
  const read = compileReading(answers, path)
  const { services } = context
  if (services === null) return null
  return async (input, signal) => {
    const { request } = input.stream
    const answer = await httpCall(services, cluster, uri?.uri ?? '', {
      timeoutMs,
      signal,
      maxBytes: maxAnswerBytes,
      method: request.method,
      host: request.authority,
      path: pathOverride || pathPrefix + request.path,
      headers: headersOf(input, isSent, added),
      body: input.body?.bytes ?? Buffer.alloc(0),
    })
    return read(answer)
  }
}

function headersOf(
  { stream, body }: CheckInput,
  isSent: HeaderSelection,
  added: readonly (readonly [string, TextFormat])[],
): Record<string, string> {
  const headers: Record<string, string> = {}
  stream.request.headers.forEach((name, value) => {
    if (name === 'host' || hopByHop.has(name) || !isSent(name)) return
    const before = headers[name]
    const told = validUtf8(value)
    headers[name] = before === undefined ? told : `${before},${told}`
  })
  if (body !== null) headers[partialBody] = String(body.isPartial)
  for (const [name, format] of added) {
    const value = format(stream.format)
    if (value !== '') headers[name] = value
  }
  return headers
}

/** Compiles how an answer is read: 200 lets the request go on, 5xx decides nothing, all else denies. */
function compileReading(answers: HttpService['authorizationResponse'], path: string): (answer: HttpAnswer) => Verdict {
  const at = `${path}.authorization_response`
  const toUpstream = compileSelection(answers?.allowedUpstreamHeaders, `${at}.allowed_upstream_headers`)
  const appended = compileSelection(answers?.allowedUpstreamHeadersToAppend, `${at}.allowed_upstream_headers_to_append`)
  const onDenial = compileSelection(answers?.allowedClientHeaders, `${at}.allowed_client_headers`)
  const onSuccess = compileSelection(answers?.allowedClientHeadersOnSuccess, `${at}.allowed_client_headers_on_success`)
  const noted = compileSelection(answers?.dynamicMetadataFromHeaders, `${at}.dynamic_metadata_from_headers`)
  return (answer) => {
    if (answer.status >= 500) return { type: 'error', reason: `it answered ${answer.status}` }
    const { pairs, removals } = partsOf(answer)
    const metadata = noted === null ? null : Object.fromEntries(pairs.filter(([name]) => noted(name)))
    if (answer.status === 200) {
      const chosen = (selects: HeaderSelection | null, how: HeaderChange['how']): HeaderChange[] =>
        selects === null ? [] : pairs.filter(([name]) => selects(name)).map(([name, value]) => ({ name, value, how }))
      return {
        type: 'ok',
        request: [...chosen(toUpstream, 'set'), ...chosen(appended, 'add')],
        remove: removals,
        response: chosen(onSuccess, 'add'),
        unknownAction: false,
        setParameters: [],
        removeParameters: [],
        metadata,
      }
    }
    const told = pairs.filter(([name]) => onDenial === null || onDenial(name) || alwaysToClient.has(name))
    const headers = told.map(([name, value]): HeaderChange => ({ name, value, how: 'set' }))
    return { type: 'denied', status: answer.status, headers, body: answer.body, metadata }
  }
}

/** Set by who asks, over what the answer says. */
const serviceTime = 'x-envoy-upstream-service-time'

/** An answer's headers, as a cluster's are (with the time that it took), and what it says is to be removed. */
function partsOf({ rawHeaders, headMs }: HttpAnswer): { pairs: [name: string, value: string][]; removals: string[] } {
  const pairs: [string, string][] = []
  const removals: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    const value = rawHeaders[i + 1]!
    const before = singleNames.has(name) ? pairs.find((pair) => pair[0] === name) : undefined
    if (name === serviceTime) continue
    if (name === removalList) removals.push(...value.split(',').map((one) => one.trim().toLowerCase()))
    else if (before !== undefined) before[1] = `${before[1]},${value}`
    else if (!hopByHop.has(name)) pairs.push([name, value])
  }
  pairs.push([serviceTime, String(Math.round(headMs))])
  return { pairs, removals: removals.filter((name) => name !== '') }
}
