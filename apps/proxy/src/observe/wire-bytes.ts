import { statusLine } from '@weft/http/h1/encode'
import { names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead, ResponseHead } from '@weft/http/message'

/** Behind the last line of a head. */
const headEnd = 2
const lastChunk = 5
const chunked = 'transfer-encoding: chunked\r\n'
/** Methods whose requests say nothing of a body that is not there. */
const bodiless = new Set(['GET', 'HEAD', 'DELETE', 'CONNECT', 'TRACE'])

/**
 * What one exchange was on the wire, as HTTP/1.1 writes it: lines of the head, fields, chunks. Made only where a log asks.
 * Fields count as Envoy counts them: those that are read three bytes each besides name and value, those that are written four.
 */
export class WireBytes {
  readonly counts = {
    downstreamReceived: 0,
    downstreamHeadReceived: 0,
    downstreamSent: 0,
    downstreamHeadSent: 0,
    upstreamSent: 0,
    upstreamHeadSent: 0,
    upstreamReceived: 0,
    upstreamHeadReceived: 0,
  }
  /** What had been sent before the last try began. */
  private sentBefore = { upstreamSent: 0, upstreamHeadSent: 0 }
  private requestChunked = false
  private upstreamChunked = false
  private answerChunked = false
  private responseChunked = false

  /** A request's head as it came. */
  requestRead(request: RequestHead): void {
    this.requestChunked = isChunked(request.headers)
    const { fields, line, size } = requestSize(request)
    this.counts.downstreamHeadReceived = fields - size
    this.counts.downstreamReceived += line + fields + headEnd
  }

  /** A request's head as a try of it goes out; `endStream`: nothing follows it. */
  requestWritten(request: RequestHead, endStream: boolean): void {
    const { fields, line } = requestSize(request)
    const framing = requestFraming(request, endStream)
    this.upstreamChunked = framing === chunked
    this.sentBefore = { upstreamSent: this.counts.upstreamSent, upstreamHeadSent: this.counts.upstreamHeadSent }
    this.counts.upstreamHeadSent += fields + framing.length
    this.counts.upstreamSent += line + fields + framing.length + headEnd
  }

  /** The try got no connection: nothing of it has gone out. */
  requestUnsent(): void {
    Object.assign(this.counts, this.sentBefore)
  }

  /** A piece of the request's body. */
  requestBody(bytes: number, sent: boolean): void {
    const size = bytes + chunkFrame(bytes, sent ? this.upstreamChunked : this.requestChunked)
    if (sent) this.counts.upstreamSent += size
    else this.counts.downstreamReceived += size
  }

  requestEnd(sent: boolean): void {
    if (sent && this.upstreamChunked) this.counts.upstreamSent += lastChunk
    else if (!sent && this.requestChunked) this.counts.downstreamReceived += lastChunk
  }

  responseRead({ status, headers }: ResponseHead): void {
    this.answerChunked = isChunked(headers)
    const fields = headers.byteSize
    this.counts.upstreamHeadReceived += fields - headers.size
    this.counts.upstreamReceived += statusLine(status).length + fields + headEnd
  }

  /** `framing`: what is written besides, for a body of no stated length or for none. */
  responseWritten({ status, headers }: ResponseHead, framing: '' | 'transfer-encoding: chunked' | 'content-length: 0'): void {
    this.responseChunked = framing === 'transfer-encoding: chunked'
    const fields = headers.byteSize + (framing === '' ? 0 : framing.length + 2)
    this.counts.downstreamHeadSent = fields
    this.counts.downstreamSent += statusLine(status).length + fields + headEnd
  }

  responseBody(bytes: number, sent: boolean): void {
    const size = bytes + chunkFrame(bytes, sent ? this.responseChunked : this.answerChunked)
    if (sent) this.counts.downstreamSent += size
    else this.counts.upstreamReceived += size
  }

  responseEnd(sent: boolean): void {
    if (sent && this.responseChunked) this.counts.downstreamSent += lastChunk
    else if (!sent && this.answerChunked) this.counts.upstreamReceived += lastChunk
  }
}

function requestSize({ method, path, authority, headers }: RequestHead): { line: number; fields: number; size: number } {
  const host = authority === '' ? 0 : 'host: \r\n'.length + authority.length
  const target = path === '' ? authority.length : path.length
  return {
    line: method.length + target + '  HTTP/1.1\r\n'.length,
    fields: headers.byteSize + host,
    size: headers.size + (host > 0 ? 1 : 0),
  }
}

/** What HTTP/1.1 writes besides, for a body of no stated length or for none. */
function requestFraming({ method, headers, upgrades }: RequestHead, endStream: boolean): string {
  if (headers.find(names.contentLength) >= 0) return ''
  if (endStream) return bodiless.has(method) ? '' : 'content-length: 0\r\n'
  return method === 'CONNECT' || upgrades ? '' : chunked
}

function isChunked(headers: HeaderTable): boolean {
  return headers.find(names.transferEncoding) >= 0
}

function chunkFrame(bytes: number, chunked: boolean): number {
  return chunked && bytes > 0 ? bytes.toString(16).length + 4 : 0
}
