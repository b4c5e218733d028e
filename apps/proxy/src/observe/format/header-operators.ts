import { type HeaderName, headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'
import { invalid } from '../../plan/problems.ts'
import type { FormatContext } from './context.ts'
import { type HeaderSource, type Operator, type OperatorKind, plain } from './operator.ts'

const originalPath = headerName('x-envoy-original-path')
const originalHost = headerName('x-envoy-original-host')

function headerOperator(header: HeaderSource): Operator {
  const { name, alternative } = header
  const read = (context: FormatContext) => {
    const table = header.table(context)
    return table === null ? null : (table.get(name) ?? (alternative === null ? null : table.get(alternative)))
  }
  return Object.assign(read, { header })
}

/** `X?Y`: X, or Y where X is absent; one of them may be left out. */
function headerNames(argument: string): [HeaderName, HeaderName | null] {
  const [main = '', alternative] = argument.split('?').filter(Boolean)
  return [headerName(main), alternative === undefined ? null : headerName(alternative)]
}

const requestHeader: OperatorKind = (argument, path) => {
  need(argument, 'REQ', path)
  const words = argument.split('?').filter(Boolean)
  if (words.every((name) => !name.startsWith(':') && name.toLowerCase() !== 'host')) {
    const [name, alternative] = headerNames(argument)
    return headerOperator({ table: ({ request }) => request?.headers ?? null, name, alternative })
  }
  const [main, alternative] = words.map(requestReader)
  if (alternative === undefined) return ({ request }) => (request === null ? null : main!(request))
  return ({ request }) => (request === null ? null : (main!(request) ?? alternative(request)))
}

/** `REQ_WITHOUT_QUERY(X?Y)`: the same without the query that a path among them has. */
const requestWithoutQuery: OperatorKind = (argument, path) => {
  const read = requestHeader(argument, path)
  return (context) => {
    const value = read(context)
    return typeof value === 'string' ? value.split('?')[0]! : value
  }
}

function requestReader(name: string): (request: RequestHead) => string | null {
  switch (name.toLowerCase()) {
    case ':method':
      return (request) => request.method || null
    case ':path':
      return (request) => request.path || null
    case ':authority':
    case 'host':
      return (request) => request.authority || (request.emptyAuthority ? '' : null)
    case ':scheme':
      return (request) => request.scheme || null
    default: {
      const header = headerName(name)
      return (request) => request.headers.get(header)
    }
  }
}

const responseHeader: OperatorKind = (argument, path) => {
  need(argument, 'RESP', path)
  if (argument.toLowerCase() === ':status') return ({ response }) => (response?.status ? String(response.status) : null)
  const [name, alternative] = headerNames(argument)
  const table = ({ response }: FormatContext): HeaderTable | null =>
    response === null || response.status === 0 ? null : response.headers
  return headerOperator({ table, name, alternative })
}

const responseTrailer: OperatorKind = (argument, path) => {
  need(argument, 'TRAILER', path)
  const [name, alternative] = headerNames(argument)
  return headerOperator({ table: ({ responseTrailers }) => responseTrailers, name, alternative })
}

function need(argument: string, name: string, path: string): void {
  if (argument.split('?').length > 2) throw invalid(path, `${name} takes one header and another in its place, not '${argument}'`)
  if (argument === '?' || !/^[^\s]+$/.test(argument)) throw invalid(path, `${name} needs the name of a header, not '${argument}'`)
}

/** `PATH(WQ|NQ:ORIG|PATH|ORIG_OR_PATH)`. */
const pathOf: OperatorKind = (argument, path) => {
  const [query = '', which = ''] = argument.split(':')
  oneOf(query, ['', 'WQ', 'NQ'], `PATH(${argument})`, path)
  oneOf(which, ['', 'ORIG', 'PATH', 'ORIG_OR_PATH'], `PATH(${argument})`, path)
  return ({ request }) => {
    if (request === null) return null
    const first = which === 'PATH' ? null : request.headers.get(originalPath)
    const value = which === 'ORIG' ? first : (first ?? request.path)
    if (value === null || value === '') return null
    return query === 'NQ' ? value.split('?')[0]! : value
  }
}

/** `QUERY_PARAM(name)`: the first of that name, name and value decoded. */
const queryParameter: OperatorKind = (argument, path) => {
  if (argument === '') throw invalid(path, 'QUERY_PARAM needs the name of a parameter')
  return ({ request }) => {
    const query = queryOf(request)
    if (query === null) return null
    for (const pair of query.split('&')) {
      const at = pair.indexOf('=')
      if (percentDecoded(at < 0 ? pair : pair.slice(0, at)) === argument) return at < 0 ? '' : percentDecoded(pair.slice(at + 1))
    }
    return null
  }
}

const queryParameters: OperatorKind = (argument, path) => {
  oneOf(argument, ['', 'ORIG', 'DECODED'], `QUERY_PARAMS(${argument})`, path)
  return ({ request }) => {
    const query = queryOf(request)
    return query === null || argument !== 'DECODED' ? query : visibleDecoded(query)
  }
}

function queryOf(request: RequestHead | null): string | null {
  const at = request === null ? -1 : request.path.indexOf('?')
  return at < 0 ? null : request!.path.slice(at + 1)
}

/** Bytes that stand behind percent signs, a byte a character; what is no such is left. */
function percentDecoded(text: string): string {
  return text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
}

/** What behind percent signs can be seen in ASCII; what can't stays as it is, and a sign before no such digits goes. */
function visibleDecoded(text: string): string {
  return text.replaceAll(/%(?:([0-9A-Fa-f]{2})|(?=..))/gs, (as, digits?: string) => {
    const code = digits === undefined ? -1 : Number.parseInt(digits, 16)
    return code < 0 ? '' : code > 0x20 && code < 0x7f ? String.fromCharCode(code) : as
  })
}

/** `REQUESTED_SERVER_NAME(SNI_ONLY|SNI_FIRST|HOST_FIRST:ORIG|HOST|ORIG_OR_HOST)`. */
const serverName: OperatorKind = (argument, path) => {
  const [first = '', source = ''] = argument.split(':')
  oneOf(first, ['', 'SNI_ONLY', 'SNI_FIRST', 'HOST_FIRST'], `REQUESTED_SERVER_NAME(${argument})`, path)
  oneOf(source, ['', 'ORIG', 'HOST', 'ORIG_OR_HOST'], `REQUESTED_SERVER_NAME(${argument})`, path)
  const host = ({ request }: FormatContext): string | null => {
    if (request === null) return null
    const before = source === 'HOST' ? null : request.headers.get(originalHost)
    const authority = source === 'ORIG' ? before : (before ?? request.authority)
    return authority === null ? null : authority.replace(/:\d+$/, '') || null
  }
  const sni = ({ connection }: FormatContext): string | null => connection.serverName || null
  if (first === 'SNI_FIRST') return (context) => sni(context) ?? host(context)
  if (first === 'HOST_FIRST') return (context) => host(context) ?? sni(context)
  return sni
}

function oneOf(word: string, words: readonly string[], command: string, path: string): void {
  if (!words.includes(word)) throw invalid(path, `'${word}' in %${command}% is none of ${words.slice(1).join(', ')}`)
}

/** Bytes of names and values, as they are when it is asked: what was added counts, what was removed doesn't. */
function fieldBytes(headers: HeaderTable): number {
  return headers.byteSize - 4 * headers.size
}

/** Bytes of names and values, with method, path, authority and scheme, which are fields too. */
export function requestBytes({ method, path, authority, scheme, headers }: RequestHead): number {
  const named = [
    [':method', method],
    [':path', path],
    [':authority', authority],
    [':scheme', scheme],
  ] as const
  return named.reduce((sum, [name, value]) => (value === '' ? sum : sum + name.length + value.length), fieldBytes(headers))
}

const statusBytes = ':status'.length + 3

/** What heads and trailers say. */
export const headerOperators: Readonly<Record<string, OperatorKind>> = {
  REQ: requestHeader,
  REQUEST_HEADER: requestHeader,
  REQ_WITHOUT_QUERY: requestWithoutQuery,
  RESP: responseHeader,
  RESPONSE_HEADER: responseHeader,
  TRAILER: responseTrailer,
  RESPONSE_TRAILER: responseTrailer,
  PATH: pathOf,
  QUERY_PARAM: queryParameter,
  QUERY_PARAMS: queryParameters,
  REQUESTED_SERVER_NAME: serverName,
  ...plain({
    REQUEST_HEADERS_BYTES: ({ request }) => (request === null ? 0 : requestBytes(request)),
    RESPONSE_HEADERS_BYTES: ({ response }) => (response === null ? 0 : statusBytes + fieldBytes(response.headers)),
    RESPONSE_TRAILERS_BYTES: ({ responseTrailers }) => (responseTrailers === null ? 0 : fieldBytes(responseTrailers)),
  }),
}
