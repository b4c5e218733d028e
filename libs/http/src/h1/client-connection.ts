import { type CaseOptions, lowerCase, ReceivedCase } from '../header-casing.ts'
import { names } from '../header-name.ts'
import type { HeaderTable } from '../header-table.ts'
import { putLatin1 } from '../latin1.ts'
import type { RequestHead, ResponseHead } from '../message.ts'
import type { ByteSink, ClientStream, IncomingResponse } from '../stream.ts'
import { ChunkDecoder } from './chunk-decoder.ts'
import { lines, put, putData, putHeaders, putLastChunk, putLine } from './encode.ts'
import { bodyOf, chunked, connectionHas, framingError } from './framing.ts'
import { gatherHead, type HeadReader, keepRaw, tooLarge } from './gather-head.ts'
import { bad, HeadScanner, incomplete } from './head-scanner.ts'

export interface Http1ClientOptions {
  maxHeadBytes: number
  maxHeaders: number
  /** Accept Content-Length beside chunked, and drop it. */
  allowChunkedLength: boolean
  enableTrailers: boolean
  /** Of header names. */
  casing: CaseOptions
  /** Request targets say scheme and host too (`absolute-form`, RFC 9112 section 3.2.2). */
  absoluteTargets: boolean
}

/** Answers may have larger heads than requests, as with Envoy. */
export const defaultClientOptions: Http1ClientOptions = {
  maxHeadBytes: 80 * 1024,
  maxHeaders: 100,
  allowChunkedLength: false,
  enableTrailers: false,
  casing: lowerCase,
  absoluteTargets: false,
}

/** A response as the request's owner makes it. */
export type Http1Response = IncomingResponse

/** How a connection comes to its end: behind an answer that said so, behind another that was complete, or otherwise. */
export type Http1End = 'announced' | 'complete' | 'broken'

export interface Http1ClientEvents {
  /** The exchange is over and the connection can take another. */
  reusable(): void
  /** The connection can't be used any more: close it (nothing is waiting to be written). */
  close(end: Http1End): void
  /** The request is given up. True: nothing of it has left, nor will; the connection can take another. */
  withdraw(): boolean
  /** The peer sent what nobody had asked for. */
  surplus(): void
  /** The tunnel's request side has ended: send that on, and go on reading. */
  endWriting(): void
  pause(): void
  resume(): void
}

type Reading = 'idle' | 'head' | 'length' | 'chunked' | 'close' | 'tunnel' | 'dead'

/** Requests without a body need no Content-Length (RFC 9110 section 8.6). */
const bodilessMethods = new Set(['GET', 'HEAD', 'DELETE', 'CONNECT', 'TRACE'])

/**
 * The client side of HTTP/1.1 without a socket. One exchange at a time: `begin`, then the RequestSender methods, then what
 * the peer answers comes to the receiver.
 */
export class Http1ClientConnection implements ClientStream, HeadReader {
  private readonly sink: ByteSink
  private readonly options: Http1ClientOptions
  private readonly events: Http1ClientEvents
  private readonly scanner = new HeadScanner()
  private chunks: ChunkDecoder | null = null
  private reading: Reading = 'idle'
  private receiver: Http1Response | null = null
  private remaining = 0
  private raw: Buffer = Buffer.alloc(0)
  private closing = false
  /** The answer says that it is the connection's last. */
  private announced = false
  private requestDone = true
  private requestChunked = false
  private headRequest = false
  private connectRequest = false
  private upgradeAsked = false
  private paused = false
  private waiting: Buffer | null = null
  /** Whether the peer has sent any byte of the current exchange's answer. */
  private answered = false

  constructor(sink: ByteSink, options: Http1ClientOptions, events: Http1ClientEvents) {
    this.sink = sink
    this.options = options
    this.events = events
  }

  get isIdle(): boolean {
    return this.reading === 'idle'
  }

  /** No byte of an answer has come to the exchange in progress. */
  get unanswered(): boolean {
    return !this.answered
  }

  /** The next exchange is the last. */
  closeAfterResponse(): void {
    this.closing = true
  }

  /** Takes the connection for one exchange. */
  begin(receiver: Http1Response): void {
    this.receiver = receiver
    this.reading = 'head'
    this.requestDone = false
    this.requestChunked = false
    this.answered = false
    this.beginHead(receiver)
  }

  private beginHead(receiver: Http1Response): void {
    this.scanner.reset()
    receiver.response.clear()
  }

  receive(bytes: Buffer, start: number, end: number): void {
    let at = start
    if (at < end) this.answered = true
    while (at < end) {
      switch (this.reading) {
        case 'head':
          at = this.readHead(bytes, at, end)
          break
        case 'length': {
          const take = Math.min(this.remaining, end - at)
          this.remaining -= take
          const last = this.remaining === 0
          const from = at
          at += take
          if (last) this.finish(bytes, from, at, at < end)
          else this.receiver!.onResponseData(bytes, from, at, false)
          break
        }
        case 'chunked':
          at = this.readChunks(bytes, at, end)
          break
        case 'close':
        case 'tunnel':
          this.receiver!.onResponseData(bytes, at, end, false)
          return
        case 'idle':
          // Bytes nobody asked for: the connection is out of step.
          this.reading = 'dead'
          this.events.surplus()
          this.events.close('broken')
          return
        case 'dead':
          return
      }
      if (this.paused && at < end) {
        const rest = Buffer.from(bytes.subarray(at, end))
        this.waiting = this.waiting === null ? rest : Buffer.concat([this.waiting, rest])
        return
      }
    }
  }

  /** The peer sends no more. */
  receiveEnd(): void {
    if ((this.reading === 'close' || this.reading === 'tunnel') && this.receiver !== null) {
      const { receiver } = this
      this.reading = 'dead'
      this.receiver = null
      receiver.onResponseData(empty, 0, 0, true)
      this.events.close(this.announced ? 'announced' : 'complete')
      return
    }
    this.connectionLost('connection-closed', 'remote closed')
  }

  /** In the middle of a head, or of a body that said how long it is: an end there breaks the protocol. */
  private get amid(): boolean {
    if (this.reading === 'head') return this.receiver !== null && this.receiver.response.headers.used > 0
    return this.reading === 'length' || this.reading === 'chunked'
  }

  /** The connection is gone, or never came to be. */
  connectionLost(reason: 'connection-closed' | 'connect-failure' | 'remote-reset' | 'protocol-error', detail: string): void {
    const { receiver, reading } = this
    if (reading === 'dead') return
    const why = reason === 'connection-closed' && this.amid ? 'protocol-error' : reason
    this.reading = 'dead'
    this.receiver = null
    receiver?.onResponseReset(why, detail)
    this.events.close('broken')
  }

  writable(): void {
    this.receiver?.onRequestWritable()
  }

  private readHead(bytes: Buffer, start: number, end: number): number {
    const receiver = this.receiver!
    const { maxHeadBytes, casing } = this.options
    const { headers } = receiver.response
    if (casing.kept !== null) this.raw = keepRaw(this.raw, headers, bytes, start, end, maxHeadBytes)
    const at = gatherHead(this, headers, bytes, start, end, maxHeadBytes)
    if (at >= 0) return this.headDone(receiver, at, end)
    if (at === incomplete) return end
    return this.fail(at === tooLarge ? 'http1.headers_too_large' : 'http1.codec_error', end)
  }

  // HeadReader

  scanHead(bytes: Buffer, base: number, end: number): number {
    const { scanner } = this
    const { response } = this.receiver!
    if (scanner.wantsLine) {
      const behind = scanStatusLine(bytes, base, end, response)
      if (behind < 0) return behind
      scanner.lineDone(behind - base)
    }
    return scanner.scan(bytes, base, end, response.headers, this.options.maxHeaders)
  }

  private headDone(receiver: Http1Response, at: number, end: number): number {
    const { response } = receiver
    const { headers, status } = response
    const { kept } = this.options.casing
    if (kept !== null) headers.casing = new ReceivedCase(headers, this.raw, kept.others, kept.reason ? reasonOf(this.raw) : null)
    const body = bodyOf(headers, this.options.allowChunkedLength)
    if (body === framingError) return this.fail('http1.codec_error', end)
    if (status < 200 || status === 204) {
      if (body === chunked || body > 0)
        return this.fail(body === chunked ? 'http1.transfer_encoding_not_allowed' : 'http1.content_length_not_allowed', end)
      // RFC 9110 section 8.6: no length stands beside these.
      headers.remove(names.contentLength)
    }
    if (status < 200 && status !== 101) {
      receiver.onInterim(response)
      if (this.receiver === receiver) this.beginHead(receiver)
      return at
    }
    this.announced = announcesClose(response)
    if (this.announced) this.closing = true
    if (status === 101 && !this.upgradeAsked) {
      // Nobody asked for it: an answer like others, without a body, and the last of its connection.
      this.closing = true
      this.finishHead(receiver, at < end)
      return at
    }
    if (status === 101 || (this.connectRequest && status >= 200 && status < 300)) {
      this.reading = 'tunnel'
      this.closing = true
      receiver.onResponseHead(false)
      return at
    }
    if (this.headRequest || status === 204 || status === 304 || body === 0) {
      this.finishHead(receiver, at < end)
      return at
    }
    if (body === chunked) {
      this.chunks ??= new ChunkDecoder(this.options.maxHeaders, this.options.maxHeadBytes)
      this.chunks.reset()
      this.reading = 'chunked'
    } else if (body > 0) {
      this.remaining = body
      this.reading = 'length'
    } else {
      this.reading = 'close'
      this.closing = true
    }
    receiver.onResponseHead(false)
    return at
  }

  private readChunks(bytes: Buffer, start: number, end: number): number {
    const chunks = this.chunks!
    let at = start
    for (;;) {
      const event = chunks.next(bytes, at, end)
      at = chunks.position
      switch (event) {
        case 'data':
          this.receiver!.onResponseData(bytes, chunks.dataStart, chunks.dataEnd, false)
          if (this.reading !== 'chunked' || this.paused) return at
          break
        case 'last':
          break
        case 'more':
          return end
        case 'end': {
          const { trailers } = chunks
          if (trailers !== null && this.options.enableTrailers) {
            const receiver = this.release(at < end)
            receiver.onResponseTrailers(trailers)
            this.settle()
          } else this.finish(bytes, at, at, at < end)
          return at
        }
        case 'bad':
          return this.fail('http1.codec_error', end)
      }
    }
  }

  /** The last body bytes. */
  private finish(bytes: Buffer, start: number, end: number, more: boolean): void {
    const receiver = this.release(more)
    receiver.onResponseData(bytes, start, end, true)
    this.settle()
  }

  private finishHead(receiver: Http1Response, more: boolean): void {
    this.release(more)
    receiver.onResponseHead(true)
    this.settle()
  }

  /** Ends the exchange here before the receiver hears of it, as it may take the connection up again at once. */
  private release(more: boolean): Http1Response {
    const receiver = this.receiver!
    this.receiver = null
    this.paused = false
    if (more) this.events.surplus()
    // An answer before the request was all sent, or bytes behind the answer: not to be used again.
    this.reading = this.closing || !this.requestDone || more ? 'dead' : 'idle'
    return receiver
  }

  private settle(): void {
    if (this.reading === 'dead') this.events.close(!this.requestDone ? 'broken' : this.announced ? 'announced' : 'complete')
    else if (this.reading === 'idle') this.events.reusable()
  }

  private fail(details: string, end: number): number {
    const { receiver } = this
    this.reading = 'dead'
    this.receiver = null
    receiver?.onResponseReset('protocol-error', details)
    this.events.close('broken')
    return end
  }

  // RequestSender

  sendHead(head: RequestHead, endStream: boolean): void {
    const { headers, method } = head
    const { sink } = this
    this.headRequest = method === 'HEAD'
    this.connectRequest = method === 'CONNECT'
    this.upgradeAsked = head.upgrades
    const target = this.options.absoluteTargets ? `${head.scheme}://${head.authority}${head.path}` : head.path
    const out = sink.reserve(method.length + target.length + head.authority.length + headers.writeBound + 96)
    let at = sink.position
    at = putLatin1(method, out, at)
    out[at++] = 32
    at = putLatin1(this.connectRequest ? head.authority : target, out, at)
    at = put(lines.version, out, at)
    const casing = headers.casing ?? this.options.casing.written
    at = putLine(lines.host, casing, out, at)
    at = putLatin1(head.authority, out, at)
    out[at++] = 13
    out[at++] = 10
    at = putHeaders(headers, casing, out, at)
    if (!headers.has(names.contentLength)) {
      if (endStream) {
        if (method !== 'GET' && !bodilessMethods.has(method)) at = putLine(lines.emptyLength, casing, out, at)
      } else if (!this.connectRequest && !this.upgradeAsked) {
        this.requestChunked = true
        at = putLine(lines.chunked, casing, out, at)
      }
    }
    out[at++] = 13
    out[at++] = 10
    sink.commit(at)
    if (endStream) this.requestDone = true
  }

  sendData(buffer: Buffer, start: number, end: number, endStream: boolean): boolean {
    putData(this.sink, buffer, start, end, this.requestChunked)
    if (endStream) {
      if (this.requestChunked) putLastChunk(this.sink, null)
      this.requestDone = true
      if (this.reading === 'tunnel') this.events.endWriting()
    }
    return !this.sink.congested
  }

  sendTrailers(trailers: HeaderTable): void {
    if (this.requestChunked) putLastChunk(this.sink, this.options.enableTrailers ? trailers : null)
    this.requestDone = true
  }

  reset(): void {
    this.receiver = null
    this.waiting = null
    if (!this.closing && this.events.withdraw()) {
      this.reading = 'idle'
      return
    }
    this.reading = 'dead'
    this.events.close('broken')
  }

  pauseResponse(): void {
    if (this.paused || this.receiver === null) return
    this.paused = true
    this.events.pause()
  }

  resumeResponse(): void {
    if (!this.paused) return
    this.paused = false
    const { waiting } = this
    this.waiting = null
    this.events.resume()
    if (waiting !== null) this.receive(waiting, 0, waiting.length)
  }
}

/**
 * Reads `HTTP/1.x SP status [SP reason] CRLF` (RFC 9112 section 4); as with Envoy white space may be more and the line end LF
 * alone, and another version is taken for an old one.
 */
function scanStatusLine(bytes: Buffer, start: number, end: number, head: ResponseHead): number {
  for (let k = 0; k < 5 && start + k < end; k++) if (bytes[start + k] !== httpSlash[k]) return bad
  const limit = Math.min(end, start + maxStatusLine)
  let stop = start
  while (stop < limit && bytes[stop] !== 10) stop++
  if (stop === limit) return end - start < maxStatusLine ? incomplete : bad
  let i = start + 5
  const major = bytes[i]! - 48
  const minor = bytes[i + 2]! - 48
  if (major < 0 || major > 9 || bytes[i + 1] !== 46 || minor < 0 || minor > 9 || bytes[i + 3]! > 32) return bad
  i += 3
  while (i < stop && bytes[i]! <= 32) i++
  let status = 0
  const digits = i
  for (; i < stop && bytes[i]! > 32; i++) {
    const digit = bytes[i]! - 48
    if (digit < 0 || digit > 9) return bad
    status = status * 10 + digit
  }
  if (i - digits !== 3 || status < 100) return bad
  for (; i < stop; i++) {
    const byte = bytes[i]!
    if ((byte < 32 && byte !== 9 && byte !== 13) || byte === 127) return bad
  }
  head.version = major === 1 && minor === 1 ? 11 : 10
  head.status = status
  return stop + 1
}

/** What stands behind the status. */
function reasonOf(head: Buffer): string {
  const line = head.latin1Slice(0, head.indexOf(10)).trimEnd()
  return line.split(/\s+/, 2).length < 2 ? '' : line.replace(/^\S+\s+\S+\s?/, '')
}

const maxStatusLine = 8192
const httpSlash = Buffer.from('HTTP/')
const empty = Buffer.alloc(0)

function announcesClose({ headers, version }: ResponseHead): boolean {
  if (connectionHas(headers, 'close') || (version === 10 && !connectionHas(headers, 'keep-alive'))) return true
  return headers.has(names.proxyConnection) && headers.get(names.proxyConnection)?.toLowerCase() === 'close'
}
