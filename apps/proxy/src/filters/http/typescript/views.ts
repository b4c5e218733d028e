import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { FilterHeaders, FilterReply, FilterRequest, FilterResponse } from '../../../filter.ts'
import type { HttpStream } from '../filter.ts'

/** A reply, told apart from whatever else a filter returns. */
export class Reply implements FilterReply {
  readonly status: number
  readonly body: string | Uint8Array
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, body: string | Uint8Array, headers: Readonly<Record<string, string>>) {
    if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError(`${status} is no status to reply with`)
    this.status = status
    this.body = body
    this.headers = headers
  }
}

/** Headers of a table; a value is written without what would end its line. */
function headersOf(table: HeaderTable): FilterHeaders {
  return {
    get: (name) => table.getAll(headerName(name)),
    has: (name) => table.has(headerName(name)),
    set: (name, value) => table.set(headerName(name), checked(name, value)),
    append: (name, value) => table.append(headerName(name), checked(name, value)),
    remove: (name) => void table.remove(headerName(name)),
    entries() {
      const list: [string, string][] = []
      table.forEach((name, value) => {
        list.push([name, value])
      })
      return list
    },
  }
}

/** The value as text; throws for a name or a value that no header may have (RFC 9110 section 5). */
function checked(name: string, value: unknown): string {
  const text = String(value)
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) throw new TypeError(`'${name}' is no header name`)
  if (/[\u0000\r\n]|[^\u0000-\u00ff]/.test(text))
    throw new TypeError(`the value of ${name} has a character that no header may have`)
  return text
}

/** The request of a stream, as user code sees it. */
export function requestOf(stream: HttpStream): FilterRequest {
  const { request } = stream
  return {
    headers: headersOf(request.headers),
    get method() {
      return request.method
    },
    set method(value) {
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(value)) throw new TypeError(`'${value}' is no method`)
      request.method = value
    },
    get path() {
      return request.path
    },
    set path(value) {
      if (!/^\/[\x21-\x7e]*$/.test(value)) throw new TypeError(`'${value}' is no path`)
      request.path = value
    },
    get authority() {
      return request.authority
    },
    set authority(value) {
      if (!/^[\x21-\x7e]+$/.test(value)) throw new TypeError(`'${value}' is no authority`)
      request.authority = value
    },
    scheme: request.scheme,
    id: stream.info.requestId || (request.headers.get(names.requestId) ?? ''),
    clientAddress: stream.info.downstreamRemoteAddress,
    peer: stream.connection.tls?.peer?.uris[0] ?? null,
    route: stream.route?.name ?? '',
    metadata: (namespace) => stream.metadata(namespace),
    chooseRouteAgain: () => stream.clearRoute(),
    reply: (status, body = '', headers = {}) => new Reply(status, body, headers),
  }
}

/** The response of a stream, as user code sees it. */
export function responseOf({ response }: HttpStream): FilterResponse {
  return {
    headers: headersOf(response.headers),
    get status() {
      return response.status
    },
    set status(value) {
      if (!Number.isInteger(value) || value < 200 || value > 599) throw new RangeError(`${value} is no status`)
      response.status = value
    },
  }
}

/** Names the length of a body that takes another's place. */
export function nameLength(headers: HeaderTable, length: number): void {
  headers.remove(names.transferEncoding)
  headers.set(names.contentLength, String(length))
}
