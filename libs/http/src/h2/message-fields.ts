import { authorityByte, listHas, targetByte, tokenLower } from '../h1/bytes.ts'
import { names } from '../header-name.ts'
import { HeaderTable } from '../header-table.ts'
import type { RequestHead, ResponseHead } from '../message.ts'
import type { FieldReceiver } from './hpack/decoder.ts'
import { fieldKind } from './hpack/field-kind.ts'

export type MessagePart = 'request' | 'response' | 'trailers'

/** A message that a field makes malformed, in the words of Envoy's response code details; then what it is. */
function invalid(what: string): string {
  return `http2.invalid.header.field: ${what}`
}

/** The same for one that lacks something, or contradicts itself. */
export function violation(what: string): string {
  return `http2.violation.of.messaging.rule: ${what}`
}

/** `contentLength` when the message says nothing. */
export const unknownLength = -1

/**
 * Takes one header block in and judges it as RFC 9113 section 8 asks: which pseudo-headers there have to be, in what order,
 * and which fields must not be. Used again for each block of a connection.
 */
export class MessageFields implements FieldReceiver {
  table: HeaderTable = new HeaderTable()
  private part: MessagePart = 'request'
  private readonly maxBytes: number
  private readonly maxHeaders: number
  /** What makes the message malformed; '' when nothing does. */
  malformed = ''
  /** What there is too much of, in Envoy's words; '' while there is not. */
  excess: '' | 'http2.header_list_size_too_large' | 'http2.too_many_headers' = ''
  contentLength = unknownLength
  method = ''
  path = ''
  authority = ''
  scheme = ''
  protocol = ''
  status = 0
  /** Bits of the pseudo-headers that came. */
  private pseudos = 0
  private ordinary = false
  private cookies = 0
  private hasHost = false
  private bytes = 0
  private fields = 0
  /** The last ones that were found valid: most say what the last one said. */
  private validPath = ''
  private validAuthority = ''

  constructor(maxBytes: number, maxHeaders: number) {
    this.maxBytes = maxBytes
    this.maxHeaders = maxHeaders
  }

  get full(): boolean {
    return this.excess !== ''
  }

  /** Before a block. */
  begin(part: MessagePart, table: HeaderTable): void {
    this.part = part
    this.table = table
    this.malformed = ''
    this.excess = ''
    this.contentLength = unknownLength
    this.method = ''
    this.path = ''
    this.authority = ''
    this.scheme = ''
    this.protocol = ''
    this.status = 0
    this.pseudos = 0
    this.ordinary = false
    this.cookies = 0
    this.hasHost = false
    this.bytes = 0
    this.fields = 0
  }

  onSpecial(kind: number, value: string): void {
    const bit = 1 << kind
    switch (kind) {
      case fieldKind.method:
        this.method = value
        break
      case fieldKind.path:
        this.path = value
        break
      case fieldKind.authority:
        this.authority = value
        break
      case fieldKind.scheme:
        this.scheme = value
        break
      case fieldKind.protocol:
        this.protocol = value
        break
      case fieldKind.status:
        this.status = statusOf(value)
        break
      case fieldKind.unknownPseudo:
        this.malformed = invalid('unknown pseudo-header')
        return
      case fieldKind.invalidName:
        this.malformed = invalid('invalid header name')
        return
      case fieldKind.connectionSpecific:
        this.malformed = invalid('connection-specific header')
        return
      default:
        this.malformed = invalid('invalid header value')
        return
    }
    if (this.ordinary) this.malformed = invalid('pseudo-header behind other headers')
    else if ((this.pseudos & bit) !== 0) this.malformed = invalid('pseudo-header twice')
    else if (this.part === 'trailers') this.malformed = invalid('pseudo-header in trailers')
    else if ((kind === fieldKind.status) !== (this.part === 'response'))
      this.malformed = invalid('pseudo-header of the other direction')
    this.pseudos |= bit
    this.bytes += value.length
    this.fields++
    if (this.bytes > this.maxBytes) this.excess = 'http2.header_list_size_too_large'
  }

  onField(kind: number, lineLength: number, valueStart: number, valueEnd: number): boolean {
    this.ordinary = true
    this.bytes += lineLength
    if (this.bytes > this.maxBytes) this.excess = 'http2.header_list_size_too_large'
    else if (++this.fields > this.maxHeaders) this.excess = 'http2.too_many_headers'
    if (this.excess !== '') return false
    if (kind === fieldKind.regular) return true
    const { buffer } = this.table
    switch (kind) {
      case fieldKind.contentLength: {
        const length = lengthOf(buffer, valueStart, valueEnd)
        if (length < 0 || this.contentLength !== unknownLength) {
          this.malformed = invalid('invalid content-length, or one too many')
          return false
        }
        this.contentLength = length
        return true
      }
      case fieldKind.te:
        if (valueEnd - valueStart !== 8 || !listHas(buffer, valueStart, valueEnd, 'trailers')) {
          this.malformed = invalid('TE other than trailers')
          return false
        }
        return true
      case fieldKind.cookie:
        this.cookies++
        return true
      case fieldKind.host:
        if (this.hasHost) {
          this.malformed = invalid('Host twice')
          return false
        }
        this.hasHost = true
        return true
    }
    return true
  }

  /** After a request's block: fills the head; '' or what is malformed. `extended`: whether :protocol is allowed. */
  finishRequest(head: RequestHead, extended: boolean): string {
    if (this.malformed !== '') return this.malformed
    const { headers } = head
    const { method, path, scheme, protocol } = this
    const connect = method === 'CONNECT'
    const has = (kind: number): boolean => (this.pseudos & (1 << kind)) !== 0
    if (!has(fieldKind.method)) return violation('no :method')
    if (!isToken(method)) return invalid('invalid :method')
    if (has(fieldKind.protocol)) {
      if (!extended || !isToken(protocol)) return invalid(':protocol without extended CONNECT')
      if (!connect) return violation(':protocol without CONNECT')
    }
    if (connect && protocol === '') {
      if (has(fieldKind.path) || has(fieldKind.scheme) || this.authority === '') return violation('CONNECT takes :authority only')
    } else {
      if (!has(fieldKind.scheme) || !has(fieldKind.path)) return violation('no :scheme or :path')
      if (!isScheme(scheme)) return invalid('invalid :scheme')
      if (path === '' || (path !== this.validPath && !hasOnly(path, pathByte))) return invalid('invalid :path')
      this.validPath = path
      const isHttp = scheme === 'http' || scheme === 'https' || /^https?$/i.test(scheme)
      if (isHttp && path.charCodeAt(0) !== 47 && !(path === '*' && method === 'OPTIONS')) {
        return violation(':path that is none of its scheme')
      }
    }
    if (this.hasHost) {
      // :authority is what counts (section 8.3.1); Host stands in for it only when it is missing.
      if (!has(fieldKind.authority)) this.authority = headers.get(names.host) ?? ''
      headers.remove(names.host)
    }
    if (this.authority === '') {
      // A request for http or https names its host (section 8.3.1).
      return has(fieldKind.authority) || this.hasHost ? invalid('empty :authority') : violation('no :authority')
    }
    if (this.authority !== this.validAuthority) {
      if (!hasOnly(this.authority, authorityByte) || this.authority.includes('@')) return invalid('invalid :authority')
      this.validAuthority = this.authority
    }
    this.joinCookies()
    head.method = method
    head.path = path
    head.authority = this.authority
    head.receivedPath = path
    head.receivedAuthority = this.authority
    head.scheme = connect && protocol === '' ? 'http' : scheme
    head.version = 20
    return ''
  }

  /** After a response's block. */
  finishResponse(head: ResponseHead): string {
    if (this.malformed !== '') return this.malformed
    // 101 is HTTP/1.1's (section 8.6).
    if (this.status < 100 || this.status === 101) return violation('missing or invalid :status')
    if (this.status === 204 && this.contentLength !== unknownLength) {
      if (this.contentLength > 0) return invalid('content-length of an answer that has no body')
      head.headers.remove(names.contentLength)
    }
    head.status = this.status
    head.version = 20
    return ''
  }

  /** Crumbs become one Cookie again (section 8.2.3); empty ones before the first that is not are nothing, as with Envoy. */
  private joinCookies(): void {
    if (this.cookies === 0) return
    const { table } = this
    const joined = (table.getAll(names.cookie, '; ') ?? '').replace(/^(?:; )+/, '')
    if (joined === '') table.remove(names.cookie)
    else if (this.cookies > 1) table.set(names.cookie, joined)
  }
}

/** What a path may have: beyond a request target's bytes, those of other alphabets, as peers send them. */
const pathByte = targetByte.map((allowed, byte) => (byte >= 0x80 ? 1 : allowed))

/** A status of three digits; 0 for anything else. */
function statusOf(value: string): number {
  if (value === '200') return 200
  return /^[1-9]\d\d$/.test(value) ? Number(value) : 0
}

/** A length of at most 15 digits, exact in a double; -1 for anything else. */
function lengthOf(bytes: Uint8Array, start: number, end: number): number {
  if (end === start || end - start > 15) return -1
  let length = 0
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - 48
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
  }
  return length
}

function hasOnly(text: string, allowed: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (allowed[text.charCodeAt(i)] !== 1) return false
  return true
}

function isToken(text: string): boolean {
  if (text === 'GET' || text === 'POST') return true
  for (let i = 0; i < text.length; i++) if (!tokenLower[text.charCodeAt(i)]) return false
  return text !== ''
}

function isScheme(scheme: string): boolean {
  return scheme === 'http' || scheme === 'https' || /^[a-z][a-z0-9+.-]*$/i.test(scheme)
}
