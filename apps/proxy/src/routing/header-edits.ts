import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from '@weft/contracts/envoy/config/core/v3/base'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'
import type { FormatContext } from '../observe/format/context.ts'
import { compileTextFormat, type TextFormat } from '../observe/format/text-format.ts'
import { invalid } from '../plan/problems.ts'

/** What a level (route, virtual host, table, cluster weight) adds to and removes from headers. */
export interface HeaderEdits {
  onRequest(context: FormatContext, request: RequestHead): void
  onResponse(context: FormatContext, headers: HeaderTable): void
}

interface Addition {
  name: HeaderName
  action: HeaderValueOption_HeaderAppendAction
  keepEmpty: boolean
  /** Joins the value that is there. */
  joins: boolean
  value: TextFormat
}

interface EditSource {
  requestHeadersToAdd: readonly HeaderValueOption[]
  requestHeadersToRemove: readonly string[]
  responseHeadersToAdd: readonly HeaderValueOption[]
  responseHeadersToRemove: readonly string[]
}

/** Compiles a level's edits; null when it has none. */
export function compileHeaderEdits(source: EditSource, path: string): HeaderEdits | null {
  const requestAdd = compileAdditions(source.requestHeadersToAdd, `${path}.request_headers_to_add`, joinedInRequests)
  const responseAdd = compileAdditions(source.responseHeadersToAdd, `${path}.response_headers_to_add`, joinedInResponses)
  const requestRemove = compileRemovals(source.requestHeadersToRemove, `${path}.request_headers_to_remove`)
  const responseRemove = compileRemovals(source.responseHeadersToRemove, `${path}.response_headers_to_remove`)
  if (requestAdd.length + responseAdd.length + requestRemove.length + responseRemove.length === 0) return null
  return {
    onRequest(context, request) {
      const { headers } = request
      for (let i = 0; i < requestRemove.length; i++) headers.remove(requestRemove[i]!)
      for (let i = 0; i < requestAdd.length; i++) apply(headers, requestAdd[i]!, context)
    },
    onResponse(context, headers) {
      for (let i = 0; i < responseRemove.length; i++) headers.remove(responseRemove[i]!)
      for (let i = 0; i < responseAdd.length; i++) apply(headers, responseAdd[i]!, context)
    },
  }
}

/** Headers that Envoy keeps one value of: another is added to it behind a comma. */
const joinedInRequests = new Set(
  (
    'accept accept-encoding authorization cache-control content-encoding content-type origin user-agent via te referer pragma ' +
    'if-match if-none-match if-modified-since if-unmodified-since if-range x-request-id x-client-trace-id x-forwarded-for ' +
    'x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-client-cert grpc-timeout x-envoy-original-path ' +
    'x-envoy-decorator-operation'
  ).split(' '),
)
const joinedInResponses = new Set(
  (
    'content-type etag vary cache-control server date via location content-encoding x-request-id grpc-message grpc-status ' +
    'last-modified expires age access-control-allow-origin access-control-allow-headers access-control-allow-methods ' +
    'access-control-allow-credentials access-control-expose-headers access-control-max-age x-envoy-upstream-canary ' +
    'x-envoy-immediate-health-check-fail'
  ).split(' '),
)

function apply(headers: HeaderTable, addition: Addition, context: FormatContext): void {
  const value = addition.value(context)
  if (value === '' && !addition.keepEmpty) return
  switch (addition.action) {
    case HeaderValueOption_HeaderAppendAction.ADD_IF_ABSENT:
      if (!headers.has(addition.name)) headers.append(addition.name, value)
      break
    case HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD:
      headers.set(addition.name, value)
      break
    case HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS:
      if (headers.has(addition.name)) headers.set(addition.name, value)
      break
    default: {
      const before = addition.joins ? headers.getAll(addition.name) : null
      if (before !== null && before !== '') headers.set(addition.name, `${before},${value}`)
      else headers.append(addition.name, value)
    }
  }
}

function compileAdditions(options: readonly HeaderValueOption[], path: string, joined: ReadonlySet<string>): Addition[] {
  return options.map((option, i) => {
    const at = `${path}[${i}]`
    const header = option.header
    if (header === undefined || header.key === '') throw invalid(`${at}.header.key`, 'a header name is needed')
    if (header.key.startsWith(':') || header.key.toLowerCase() === 'host') {
      throw invalid(`${at}.header.key`, `headers that begin with ':', and Host, may not be modified: '${header.key}'`)
    }
    if (option.append !== undefined && option.appendAction !== HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD)
      throw invalid(at, "Both append and append_action are set and it's not allowed")
    const text = header.value !== '' ? header.value : Buffer.from(header.rawValue).toString()
    // The older boolean: false replaces.
    const action =
      option.append === undefined
        ? option.appendAction
        : option.append
          ? HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD
          : HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    const name = headerName(header.key)
    return {
      name,
      action,
      joins: joined.has(name.name),
      keepEmpty: option.keepEmptyValue,
      value: compileTextFormat(text, `${at}.header.value`, ''),
    }
  })
}

function compileRemovals(names: readonly string[], path: string): HeaderName[] {
  return names.map((name, i) => {
    if (name.startsWith(':') || name.toLowerCase() === 'host') {
      throw invalid(`${path}[${i}]`, `':'-prefixed or host headers may not be removed: '${name}'`)
    }
    return headerName(name)
  })
}
