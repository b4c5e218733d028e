import { type CaseOptions, lowerCase, ReceivedCase } from '../header-casing.ts'
import { names } from '../header-name.ts'
import type { HeaderTable } from '../header-table.ts'
import type { RequestHead, ResponseHead } from '../message.ts'
import type { ByteSink, IncomingRequest, ServerStream } from '../stream.ts'
import { authorityByte, equalsIgnoreCase, isAuthority } from './bytes.ts'
import { ChunkDecoder } from './chunk-decoder.ts'
import { removeNominated } from './connection-header.ts'
import { lines, put, putData, putHeaders, putLastChunk, putLine, statusLine, statusLineWith } from './encode.ts'
import { bodyOf, chunked, connectionHas, framingError, framingProblem, none } from './framing.ts'
import { gatherHead, type HeadReader, keepRaw, tooLarge } from './gather-head.ts'
import { bad, HeadScanner, incomplete } from './head-scanner.ts'
import { type Mistake, refusals } from './refusal.ts'
import { RequestLine, scanRequestLine } from './request-line.ts'
import { applyTarget, hasForm } from './request-target.ts'

export interface Http1ServerOptions {
  maxHeadBytes: number
  maxHeaders: number
  acceptHttp10: boolean
  /** A name with an underscore is refused. */
  refusesUnderscores: boolean
  /** Host for an HTTP/1.0 request that names none. */
  defaultHost: string
  /** Accept Content-Length beside chunked, and drop it. */
  allowChunkedLength: boolean
  allowAbsoluteUrl: boolean
  /** An absolute URL of `https` is refused: the connection is in the clear, and nobody before it could have ended TLS. */
  refusesHttps: boolean
  /** Take methods that are not known. */
  allowCustomMethods: boolean
  /** Of header names. */
  casing: CaseOptions
  /** Pass trailers on; otherwise they are read and dropped. */
  enableTrailers: boolean
}

export const defaultServerOptions: Http1ServerOptions = {
  maxHeadBytes: 60 * 1024,
  maxHeaders: 100,
  acceptHttp10: false,
  refusesUnderscores: false,
  defaultHost: '',
  allowChunkedLength: false,
  allowAbsoluteUrl: true,
  refusesHttps: false,
  allowCustomMethods: false,
  casing: lowerCase,
  enableTrailers: false,
}

/** A request as the connection's owner makes it; the connection closes after an answer to `onRequestError`. */
export type Http1Request = IncomingRequest

export interface Http1ServerEvents {
  /** The first byte of a request came. */
  begin(sender: Http1ServerConnection): Http1Request
  /** Close once what was written has left. */
  closeAfterWrite(how: ClosePace): void
  pause(): void
  resume(): void
  /** Request and response are both complete and the connection waits for the next request. */
  idle(): void
}

/** How the connection ends behind an answer. `late`: the peer, which does not expect it, is given the time to see it announced and to close first. */
export type ClosePace = 'now' | 'late'

/** Where the request side stands. */
type Reading = 'idle' | 'head' | 'length' | 'chunked' | 'tunnel' | 'complete' | 'dead'

/**
 * The server side of HTTP/1.1 without a socket: bytes in by `receive`, requests out to what `begin` gives, responses in
 * by the ResponseSender methods, bytes out to the sink. One request at a time; what a client pipelines waits, unparsed
 * and with reading stopped, until the response before it is complete.
 */
export class Http1ServerConnection implements ServerStream, HeadReader {
  private readonly sink: ByteSink
  private readonly options: Http1ServerOptions
  private readonly events: Http1ServerEvents
  private readonly scanner = new HeadScanner()
  private readonly line = new RequestLine()
  private chunks: ChunkDecoder | null = null
  private raw: Buffer = Buffer.alloc(0)
  private reading: Reading = 'idle'
  private receiver: Http1Request | null = null
  private remaining = 0
  /** Bytes behind the current request, waiting for its response. */
  private waiting: Buffer | null = null
  private requestPaused = false
  private stoppedReading = false
  /** The bytes of Host that `authority` was made of last: the next request nearly always has the same. */
  private lastHost: Buffer = Buffer.alloc(0)
  private lastAuthority = ''
  private closing = false
  /** No head has come yet. */
  private fresh = true
  /** The head is being told of: an answer from within comes before the request's end is known. */
  private telling = false
  /**
   * The last request was written in a way that others might cut elsewhere. It was taken as Envoy takes it, but what comes
   * behind it on this connection is not read: nobody can tell whose request that is.
   */
  private loose = false
  /** Whether responses say that the connection will be closed, while it is not yet. */
  private announced = false
  /** The end needs no time: the peer asked for it, or the response is framed by it. */
  private endsAtOnce = false
  private responseChunked = false
  private headRequest = false
  /** The response has no body, whatever its maker gives: the bytes would be taken for the next one. */
  private bodiless = false
  private upgradeAsked = false

  constructor(sink: ByteSink, options: Http1ServerOptions, events: Http1ServerEvents) {
    this.sink = sink
    this.options = options
    this.events = events
  }

  /** Whether no request is under way. */
  get isIdle(): boolean {
    return this.reading === 'idle'
  }

  /** The response to come, or the current one if it has not begun, is the last: it says `connection: close`. */
  closeAfterResponse(atOnce = false): void {
    this.closing = true
    if (atOnce) this.endsAtOnce = true
  }

  /** Responses say `connection: close` from now on, and yet requests are taken until the connection is closed. */
  announceClose(): void {
    this.announced = true
  }

  get willClose(): boolean {
    return this.closing
  }

  /** Bytes from the peer; they are not used after the call. */
  receive(bytes: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      switch (this.reading) {
        case 'idle':
          if (this.loose) {
            this.reading = 'dead'
            this.events.closeAfterWrite('now')
            return
          }
          this.begin()
          break
        case 'head':
          at = this.readHead(bytes, at, end)
          break
        case 'length':
          at = this.readLength(bytes, at, end)
          break
        case 'chunked':
          at = this.readChunks(bytes, at, end)
          break
        case 'tunnel':
          this.receiver!.onRequestData(bytes, at, end, false)
          return
        case 'complete':
          if (this.loose) {
            this.closing = true
            return
          }
          this.stash(bytes, at, end)
          return
        case 'dead':
          return
      }
      if (this.requestPaused && at < end && this.reading !== 'idle') {
        this.stash(bytes, at, end)
        return
      }
    }
  }

  /** The peer sends no more: whatever is under way ends, as with Envoy. */
  receiveEnd(): boolean {
    switch (this.reading) {
      case 'idle':
      case 'dead':
        return false
      default:
        this.connectionLost('remote closed')
        return false
    }
  }

  /** The connection is gone. */
  connectionLost(detail: string): void {
    const receiver = this.receiver
    this.reading = 'dead'
    this.receiver = null
    this.waiting = null
    receiver?.onRequestReset('connection-closed', detail)
  }

  /** The sink has room again. */
  writable(): void {
    this.receiver?.onResponseWritable()
  }

  private begin(): void {
    this.scanner.reset()
    this.receiver = this.events.begin(this)
    this.receiver.request.clear()
    this.responseChunked = false
    this.headRequest = false
    this.upgradeAsked = false
    this.requestPaused = false
    this.reading = 'head'
  }

  private readHead(bytes: Buffer, start: number, end: number): number {
    const head = this.receiver!.request
    const { maxHeadBytes, casing } = this.options
    if (casing.kept !== null) this.raw = keepRaw(this.raw, head.headers, bytes, start, end, maxHeadBytes)
    const at = gatherHead(this, head.headers, bytes, start, end, maxHeadBytes)
    if (at >= 0) {
      this.headDone(head)
      return at
    }
    if (at === tooLarge) this.refuse('too-large')
    return end
  }

  // HeadReader

  /** After `bad` the request has been refused. */
  scanHead(bytes: Buffer, base: number, end: number): number {
    const { scanner, line } = this
    const head = this.receiver!.request
    if (scanner.wantsLine) {
      const behind = scanRequestLine(bytes, base, end, head, line, this.options.allowCustomMethods, this.fresh)
      if (behind === incomplete) return incomplete
      if (behind === bad) {
        head.version = 11
        this.refuse(line.error)
        return bad
      }
      line.targetStart -= base
      line.targetEnd -= base
      scanner.lineDone(behind - base)
    }
    const stop = scanner.scan(bytes, base, end, head.headers, this.options.maxHeaders)
    if (stop === bad) {
      head.version = 11
      this.refuse(scanner.error)
    }
    return stop
  }

  /** The head is whole and stands in the table's own buffer. */
  private headDone(head: RequestHead): void {
    const table = head.headers
    const { line, options } = this
    this.fresh = false
    if (line.loose || this.scanner.loose) this.loose = true
    head.scheme = ''
    if (options.refusesUnderscores && table.hasUnderscore()) {
      head.version = 11
      this.refuse('underscore')
      return
    }
    const { kept } = options.casing
    if (kept !== null) table.casing = new ReceivedCase(table, this.raw, kept.others)
    const target = table.buffer.latin1Slice(line.targetStart, line.targetEnd)
    const isPath = head.method !== 'CONNECT' && target.charCodeAt(0) === 47
    const ordinary = isPath || (head.method !== 'CONNECT' && !options.allowAbsoluteUrl)
    const old = head.version === 10
    // In what its client does not speak it is not answered.
    if (old && !options.acceptHttp10) head.version = 11
    if (!isPath && !hasForm(head.method, target)) {
      head.version = 11
      this.refuse('bad-target')
      return
    }
    const body = bodyOf(table, options.allowChunkedLength)
    if (!this.checkFraming(head, body)) return
    const invalidHost = !this.takeHost(head)
    // Behind the framing: where the body ends is for no Connection header to say.
    if (table.find(names.connection) >= 0 && !removeNominated(head)) {
      this.refuse('bad-connection')
      return
    }
    this.headRequest = head.method === 'HEAD'
    if (ordinary) head.path = target
    else {
      const problem = applyTarget(head, target)
      if (problem !== null) {
        this.refuse(problem)
        return
      }
      if (options.refusesHttps && head.scheme === 'https') {
        this.refuse('https-in-the-clear')
        return
      }
    }
    if (old) {
      if (!options.acceptHttp10) {
        this.closing = true
        this.refuse('old-version')
        return
      }
      if (head.authority === '' && !head.emptyAuthority) head.authority = options.defaultHost
      if (!connectionHas(table, 'keep-alive')) this.closeAfterResponse(true)
    } else if (connectionHas(table, 'close') || closesProxy(table)) this.closeAfterResponse(true)
    // What a target names takes Host's place, and goes on as Host.
    if (ordinary ? invalidHost && head.authority !== '' : !isAuthority(head.authority)) {
      this.refuse('bad-authority')
      return
    }
    this.upgradeAsked = head.method === 'CONNECT' || (table.has(names.upgrade) && connectionHas(table, 'upgrade'))
    if (body === chunked) {
      if (head.version === 10) this.loose = true
      // Those that are dropped are counted by their bytes alone.
      this.chunks ??= new ChunkDecoder(options.enableTrailers ? options.maxHeaders : uncounted, options.maxHeadBytes)
      this.chunks.reset()
      this.reading = 'chunked'
    } else if (body > 0) {
      this.remaining = body
      this.reading = 'length'
    } else this.reading = this.upgradeAsked ? 'tunnel' : 'complete'
    head.receivedPath = head.path
    head.receivedAuthority = head.authority
    this.telling = true
    this.receiver!.onRequestHead(this.reading === 'complete')
    this.telling = false
  }

  /** Refuses a body that nobody can tell the end of, or that its method has none of: false. */
  private checkFraming(head: RequestHead, body: number): boolean {
    const { method } = head
    if (body === framingError) {
      const { error } = framingProblem
      if (error === 'bad-length' || error === 'several-lengths') head.version = 11
      // Those of CONNECT are looked at sooner.
      this.refuse(method === 'CONNECT' && error === 'length-and-coding' ? 'body-of-connect' : error)
      return false
    }
    if (method !== 'CONNECT' || body === none || body === 0) return true
    this.refuse(body === chunked ? 'bad-coding' : 'body-of-connect')
    return false
  }

  /** Takes Host out of the headers; false: it is no authority. */
  private takeHost(head: RequestHead): boolean {
    const table = head.headers
    const at = table.find(names.host)
    if (at < 0) {
      head.authority = ''
      return true
    }
    if (table.find(names.host, at + 1) >= 0) {
      this.loose = true
      joinHosts(table, at)
    }
    const start = table.ranges[at * 4 + 2]!
    const end = table.ranges[at * 4 + 3]!
    let valid = true
    if (!table.valueIs(at, this.lastHost)) {
      for (let i = start; i < end; i++) if (authorityByte[table.buffer[i]!] !== 1) valid = false
      if (valid) {
        this.lastHost = Buffer.from(table.buffer.subarray(start, end))
        this.lastAuthority = table.buffer.latin1Slice(start, end)
      }
    }
    head.authority = valid ? this.lastAuthority : table.buffer.latin1Slice(start, end)
    head.emptyAuthority = start === end
    table.removeAt(at)
    return valid
  }

  /** The upgrade was not taken: the request had no body and is complete. */
  declineUpgrade(): void {
    if (this.reading === 'tunnel') this.reading = 'complete'
  }

  private readLength(bytes: Buffer, start: number, end: number): number {
    const take = Math.min(this.remaining, end - start)
    this.remaining -= take
    const last = this.remaining === 0
    if (last) this.reading = 'complete'
    this.receiver!.onRequestData(bytes, start, start + take, last)
    return start + take
  }

  private readChunks(bytes: Buffer, start: number, end: number): number {
    const chunks = this.chunks!
    const { pieces } = chunks
    pieces.length = 0
    let at = start
    for (;;) {
      const event = chunks.next(bytes, at, end)
      at = chunks.position
      if (event === 'data') {
        pieces.push(chunks.dataStart, chunks.dataEnd)
        continue
      }
      // What comes before a mistake in the same read is not passed on, unless trailers have it, as with Envoy.
      if (event === 'bad') {
        this.refuse(chunks.error)
        return end
      }
      for (let i = 0; i < pieces.length; i += 2) {
        this.receiver!.onRequestData(bytes, pieces[i]!, pieces[i + 1]!, false)
        // The receiver may have ended the exchange.
        if (this.reading !== 'chunked') return at
      }
      pieces.length = 0
      if (event === 'more') return end
      if (event === 'last') continue
      if (chunks.loose) this.loose = true
      this.reading = 'complete'
      const { trailers } = chunks
      if (trailers !== null && this.options.enableTrailers) this.receiver!.onRequestTrailers(trailers)
      else this.receiver!.onRequestData(empty, 0, 0, true)
      return at
    }
  }

  private refuse(mistake: Mistake): void {
    this.closing = true
    this.reading = 'dead'
    this.receiver!.onRequestError(refusals[mistake])
  }

  private stash(bytes: Buffer, start: number, end: number): void {
    const piece = Buffer.from(bytes.subarray(start, end))
    this.waiting = this.waiting === null ? piece : Buffer.concat([this.waiting, piece])
    if (!this.stoppedReading) {
      this.stoppedReading = true
      this.events.pause()
    }
  }

  /** Goes on with what waited. */
  private unstash(): void {
    const { waiting } = this
    this.waiting = null
    if (this.stoppedReading) {
      this.stoppedReading = false
      this.events.resume()
    }
    if (waiting !== null) this.receive(waiting, 0, waiting.length)
  }

  // ResponseSender

  sendInterim(head: ResponseHead): void {
    const { headers, status } = head
    const reason = headers.casing?.reason ?? null
    const line = reason === null ? statusLine(status) : statusLineWith(status, reason)
    const out = this.sink.reserve(line.length + headers.writeBound + 2)
    let at = put(line, out, this.sink.position)
    at = putHeaders(headers, headers.casing ?? this.options.casing.written, out, at)
    out[at++] = 13
    out[at++] = 10
    this.sink.commit(at)
  }

  /** 100 Continue, which an Expect header asked for. */
  sendContinue(): void {
    const out = this.sink.reserve(lines.continue.length)
    this.sink.commit(put(lines.continue, out, this.sink.position))
  }

  sendHead(head: ResponseHead, endStream: boolean): void {
    const { headers, status } = head
    const { sink } = this
    const request = this.receiver!.request
    const reason = headers.casing?.reason ?? null
    const line = reason === null ? statusLine(status) : statusLineWith(status, reason)
    const tunnel = this.upgradeAsked && (status === 101 || (request.method === 'CONNECT' && status >= 200 && status < 300))
    if (!tunnel && this.reading === 'tunnel') this.reading = 'complete'
    // Behind 101 the bytes are another protocol's.
    const bodiless = this.headRequest || status === 204 || status === 304 || status < 200
    this.bodiless = bodiless && !tunnel
    const hasLength = headers.find(names.contentLength) >= 0
    this.responseChunked = false
    let framing: Buffer | null = null
    if (!tunnel && !hasLength) {
      if (endStream) {
        if (!bodiless) framing = lines.emptyLength
      } else if (!bodiless) {
        if (request.version !== 10) {
          this.responseChunked = true
          framing = lines.chunked
        }
      }
      // Its client may take the end for that of the body, whether there is one or not.
      if (request.version === 10) this.closeAfterResponse(true)
      if (this.headRequest && framing === null && status >= 200 && status !== 204 && status !== 304 && request.version === 11)
        framing = lines.chunked
    }
    const out = sink.reserve(line.length + headers.writeBound + 64)
    let at = sink.position
    const lineAt = at
    at = put(line, out, at)
    if (request.version === 10) out[lineAt + 7] = 48
    const casing = headers.casing ?? this.options.casing.written
    at = putHeaders(headers, casing, out, at)
    if (framing !== null) at = putLine(framing, casing, out, at)
    if (this.closing || this.announced) {
      if (!tunnel) at = putLine(lines.close, casing, out, at)
    } else if (request.version === 10) at = putLine(lines.keepAlive, casing, out, at)
    out[at++] = 13
    out[at++] = 10
    sink.commit(at)
    if (endStream) this.endResponse()
  }

  sendData(buffer: Buffer, start: number, end: number, endStream: boolean): boolean {
    if (!this.bodiless) putData(this.sink, buffer, start, end, this.responseChunked)
    if (endStream) {
      if (this.responseChunked) putLastChunk(this.sink, null)
      this.endResponse()
    }
    return !this.sink.congested
  }

  sendTrailers(trailers: HeaderTable): void {
    if (this.responseChunked) putLastChunk(this.sink, this.options.enableTrailers ? trailers : null)
    this.endResponse()
  }

  reset(): void {
    this.reading = 'dead'
    this.receiver = null
    this.waiting = null
    this.events.closeAfterWrite('now')
  }

  pauseRequest(): void {
    if (this.requestPaused) return
    this.requestPaused = true
    if (!this.stoppedReading && this.reading !== 'complete' && this.reading !== 'idle') {
      this.stoppedReading = true
      this.events.pause()
    }
  }

  resumeRequest(): void {
    if (!this.requestPaused) return
    this.requestPaused = false
    if (this.reading !== 'complete') this.unstash()
  }

  private endResponse(): void {
    const complete = this.reading === 'complete'
    this.receiver = null
    this.requestPaused = false
    if (this.closing || !complete) {
      this.reading = 'dead'
      this.waiting = null
      this.events.closeAfterWrite(complete && !this.telling && this.endsAtOnce ? 'now' : 'late')
      return
    }
    this.reading = 'idle'
    if (this.waiting !== null) {
      // Not from within the response: the owner finishes its books first.
      queueMicrotask(() => {
        if (this.reading === 'idle') this.unstash()
      })
      return
    }
    if (this.stoppedReading) this.unstash()
    this.events.idle()
  }
}

const uncounted = Number.POSITIVE_INFINITY
/**
 * Several Host headers become one that no virtual host but the default one has: what comes behind must not choose another of
 * them than was chosen here. An empty one counts for nothing.
 */
function joinHosts(table: HeaderTable, first: number): void {
  const values: string[] = []
  for (let i = first; i >= 0; i = table.find(names.host, i + 1)) values.push(table.valueAt(i))
  table.set(names.host, values.filter((value) => value !== '').join(','))
}

/** Proxy-Connection of those who have only that. */
function closesProxy(table: HeaderTable): boolean {
  const at = table.find(names.proxyConnection)
  return at >= 0 && equalsIgnoreCase(table.buffer, table.ranges[at * 4 + 2]!, table.ranges[at * 4 + 3]!, 'close')
}

const empty = Buffer.alloc(0)
