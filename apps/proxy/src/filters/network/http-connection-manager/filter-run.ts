import type { HeaderTable } from '@weft/http/header-table'
import type { FilterStatus, HttpFilter } from '../../http/filter.ts'
import { FilterParts } from '../../http/filter-parts.ts'
import type { ManagedExchange } from './managed-exchange.ts'
import { resolveFilters } from './resolved-filters.ts'
import type { ResponseOut } from './response-out.ts'

/** One direction's progress through the filters. */
interface Direction {
  /** Index of the filter that stopped it; -1: none. */
  stoppedAt: number
  status: FilterStatus
  held: Buffer[]
  heldBytes: number
  heldEnd: boolean
  heldTrailers: HeaderTable | null
  headEndsStream: boolean
  paused: boolean
}

function newDirection(): Direction {
  return {
    stoppedAt: -1,
    status: 'continue',
    held: [],
    heldBytes: 0,
    heldEnd: false,
    heldTrailers: null,
    headEndsStream: false,
    paused: false,
  }
}

/**
 * Takes a request and its response through the filters, and holds what comes behind a filter that stopped. A request none of
 * whose filters looks at bodies passes its body straight to the router.
 */
export class FilterRun {
  private readonly exchange: ManagedExchange
  private readonly out: ResponseOut
  /** Of this request alone. */
  private readonly own = new FilterParts()
  /** Those that take part: `own`, or the same as in other requests, which are not to be changed. */
  private parts = this.own
  private readonly request = newDirection()
  private readonly response = newDirection()
  private answered = false
  /** A filter has stopped or keeps what it is given: it may come back to the exchange when that is over, which no other request has then. */
  isKept = false
  /** What goes on now was held by a filter to the request's end. */
  private gathered = false
  /** Body bytes kept for filters that hold the request; a filter may set another limit. */
  requestLimit: number

  constructor(exchange: ManagedExchange, out: ResponseOut) {
    this.exchange = exchange
    this.out = out
    this.requestLimit = exchange.plan.bufferLimit
  }

  /** The request passes no filter any more, and its response none: those that have begun are told of the end alone. */
  skip(): void {
    this.reset()
    this.ownParts().pass()
    this.answered = true
  }

  /** The request passes no filter any more, but its answer passes all of them, those that never saw the request too. */
  skipRequest(): void {
    if (this.parts.list.length === 0) this.startFilters()
    this.stopRequest()
  }

  private forget(): void {
    if (this.parts !== this.own) this.parts = this.own
    else if (this.own.list.length > 0) this.own.clear()
  }

  /** The parts, which may be changed. */
  private ownParts(): FilterParts {
    const { own, parts } = this
    if (parts !== own) for (const part of parts.list) own.add(part)
    this.parts = own
    return own
  }

  /** `by` goes on with what comes of this request, in the place of `filter`. */
  replace(filter: HttpFilter, by: HttpFilter): void {
    this.ownParts().replace(filter, by)
  }

  private reset(): void {
    for (const direction of [this.request, this.response]) {
      direction.stoppedAt = -1
      if (direction.heldBytes > 0 || direction.heldEnd || direction.heldTrailers !== null) {
        direction.held = []
        direction.heldBytes = 0
        direction.heldEnd = false
        direction.heldTrailers = null
      }
      direction.paused = false
    }
    this.answered = false
    this.gathered = false
    this.requestLimit = this.exchange.plan.bufferLimit
  }

  /** The request's head goes to the filters of its route. */
  startRequest(endStream: boolean): void {
    this.startFilters()
    this.request.headEndsStream = endStream
    this.requestHead(0, endStream)
  }

  private startFilters(): void {
    const { own, exchange } = this
    const { plan, upgrade, table, route, terminal } = exchange
    const { filters, shared } = resolveFilters(exchange, plan, upgrade, table, route, terminal.choiceConfigs)
    this.forget()
    this.reset()
    if (shared !== null) this.parts = shared
    else
      for (let i = 0; i < filters.length; i++) {
        const { filter, config, shared: part = filter.start(exchange, config) } = filters[i]!
        if (part !== null) own.add(part)
      }
    if (this.parts.keepStream) this.isKept = true
  }

  private requestHead(from: number, endStream: boolean): void {
    const { exchange, request } = this
    const { list } = this.parts
    for (let i = from; i < list.length; i++) {
      const filter = list[i]!
      if (filter.onRequestHeaders === undefined) continue
      const status = filter.onRequestHeaders(exchange, endStream)
      if (this.answered || exchange.done) return
      if (status !== 'continue') {
        this.isKept = true
        request.stoppedAt = i
        request.status = status
        return
      }
    }
    request.stoppedAt = -1
    exchange.terminal.start(endStream)
  }

  requestData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.answered) return
    if (!this.parts.requestData && this.request.stoppedAt < 0) {
      this.exchange.terminal.data(buffer, start, end, endStream)
      return
    }
    this.requestDataFrom(0, buffer, start, end, endStream)
  }

  private requestDataFrom(from: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const { exchange, request } = this
    const { list } = this.parts
    for (let i = from; i < list.length; i++) {
      if (i === request.stoppedAt && request.status === 'stop') {
        this.hold(request, buffer, start, end, endStream)
        return
      }
      const filter = list[i]!
      let status: FilterStatus = 'continue'
      if (filter.onRequestData !== undefined) {
        status = filter.onRequestData(exchange, buffer.subarray(start, end), endStream)
        if (status !== 'continue') this.isKept = true
        if (status === 'taken' || this.answered || exchange.done) return
      }
      if (i === request.stoppedAt || status !== 'continue') {
        if (status === 'continue' && filter.onRequestData !== undefined) {
          // It has seen enough: headers go on, then what was kept, then this. What HTTP/2 sends with the end is never kept, in Envoy.
          if (endStream && exchange.request.version === 20) this.keep(request, buffer, start, end, endStream)
          else this.hold(request, buffer, start, end, endStream)
          this.continueRequest()
          return
        }
        request.stoppedAt = i
        request.status = status === 'continue' ? request.status : status
        this.hold(request, buffer, start, end, endStream)
        return
      }
    }
    exchange.terminal.data(buffer, start, end, endStream)
  }

  /** A filter that took data sends it on. */
  injectRequestData(filter: HttpFilter, data: Buffer, endStream: boolean): void {
    if (this.answered) return
    this.requestDataFrom(this.parts.list.indexOf(filter) + 1, data, 0, data.length, endStream)
  }

  /** A filter that took data ends the request by trailers. */
  injectRequestTrailers(filter: HttpFilter, trailers: HeaderTable): void {
    if (!this.answered) this.requestTrailersFrom(this.parts.list.indexOf(filter) + 1, trailers)
  }

  requestTrailers(trailers: HeaderTable): void {
    if (!this.answered) this.requestTrailersFrom(0, trailers)
  }

  private requestTrailersFrom(from: number, trailers: HeaderTable): void {
    const { exchange, request } = this
    const { list } = this.parts
    for (let i = from; i < list.length; i++) {
      const filter = list[i]!
      if (i === request.stoppedAt && request.status === 'stop') {
        request.heldTrailers = trailers
        return
      }
      const status = filter.onRequestTrailers?.(exchange, trailers) ?? 'continue'
      if (this.answered || exchange.done) return
      if (status !== 'continue') {
        this.isKept = true
        request.stoppedAt = i
        request.status = status
        request.heldTrailers = trailers
        return
      }
      if (i === request.stoppedAt) {
        request.heldTrailers = trailers
        this.continueRequest()
        return
      }
    }
    exchange.terminal.trailers(trailers)
  }

  private keep(direction: Direction, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (end > start) {
      direction.held.push(Buffer.from(buffer.subarray(start, end)))
      direction.heldBytes += end - start
    }
    direction.heldEnd ||= endStream
  }

  private isWithinLimit(direction: Direction): boolean {
    return direction.heldBytes <= (direction === this.request ? this.requestLimit : this.exchange.plan.bufferLimit)
  }

  private hold(direction: Direction, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.keep(direction, buffer, start, end, endStream)
    if (this.isWithinLimit(direction)) return
    if (direction === this.response) {
      if (direction.status === 'buffer') this.exchange.abort()
      else if (!direction.paused) {
        direction.paused = true
        this.exchange.terminal.pauseResponse()
      }
      return
    }
    if (direction.status === 'buffer') {
      this.exchange.plan.stats.tooLarge.inc()
      // Whether its last piece is among those that came or not, the request counts as not read to its end; one that a filter had
      // gathered whole before does.
      if (!this.gathered) this.exchange.requestComplete = false
      this.exchange.reply(413, 'Payload Too Large', { details: 'request_payload_too_large' })
    } else if (!direction.paused) {
      direction.paused = true
      this.exchange.pauseRequest()
    }
  }

  /** The stopped filter lets the request go on. */
  continueRequest(): void {
    const { request, exchange } = this
    const at = request.stoppedAt
    if (at < 0 || this.answered) return
    const { status, held, heldEnd, heldTrailers } = request
    const headSent = exchange.terminal.started
    request.stoppedAt = -1
    request.held = []
    request.heldBytes = 0
    request.heldEnd = false
    request.heldTrailers = null
    if (!headSent) this.requestHead(at + 1, request.headEndsStream)
    // What was held by `stop` has not been seen by the filter itself.
    const from = status === 'stop' ? at : at + 1
    this.gathered = heldEnd || heldTrailers !== null
    for (let i = 0; i < held.length; i++) {
      if (this.answered || exchange.done) return
      const piece = held[i]!
      this.requestDataFrom(from, piece, 0, piece.length, heldEnd && heldTrailers === null && i === held.length - 1)
    }
    if (held.length === 0 && heldEnd && !this.answered && !exchange.done) this.requestDataFrom(from, empty, 0, 0, true)
    // A filter that gathers the body since then learns of its end by them.
    if (heldTrailers !== null && !this.answered && !exchange.done) this.requestTrailersFrom(at + 1, heldTrailers)
    if (request.paused && request.stoppedAt < 0) {
      request.paused = false
      exchange.resumeRequest()
    }
  }

  /** An answer is made here: the request goes no further. */
  stopRequest(): void {
    this.answered = true
    const { request } = this
    request.stoppedAt = -1
    request.held = []
    request.heldBytes = 0
    request.heldEnd = false
    request.heldTrailers = null
    request.paused = false
  }

  startResponse(endStream: boolean): void {
    this.response.headEndsStream = endStream
    if (this.parts.responseHead) this.responseHead(this.parts.list.length - 1, endStream)
    else this.out.head(endStream)
  }

  private responseHead(from: number, endStream: boolean): void {
    const { exchange, response } = this
    const { list } = this.parts
    for (let i = from; i >= 0; i--) {
      const filter = list[i]!
      if (filter.onResponseHeaders === undefined) continue
      const status = filter.onResponseHeaders(exchange, endStream)
      if (exchange.done) return
      if (status !== 'continue') {
        this.isKept = true
        response.stoppedAt = i
        response.status = status
        return
      }
    }
    response.stoppedAt = -1
    this.out.head(endStream)
  }

  responseData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (!this.parts.responseData && this.response.stoppedAt < 0) {
      this.out.data(buffer, start, end, endStream)
      return
    }
    this.responseDataFrom(this.parts.list.length - 1, buffer, start, end, endStream)
  }

  private responseDataFrom(from: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const { exchange, response } = this
    const { list } = this.parts
    for (let i = from; i >= 0; i--) {
      if (i === response.stoppedAt && response.status === 'stop') {
        this.hold(response, buffer, start, end, endStream)
        return
      }
      const filter = list[i]!
      const status = filter.onResponseData?.(exchange, buffer.subarray(start, end), endStream) ?? 'continue'
      if (status !== 'continue') this.isKept = true
      if (status === 'taken' || exchange.done) return
      if (i === response.stoppedAt || status !== 'continue') {
        if (status === 'continue' && filter.onResponseData !== undefined) {
          this.hold(response, buffer, start, end, endStream)
          this.continueResponse()
          return
        }
        response.stoppedAt = i
        response.status = status === 'continue' ? response.status : status
        this.hold(response, buffer, start, end, endStream)
        return
      }
    }
    this.out.data(buffer, start, end, endStream)
  }

  /** A filter that took data sends it on. */
  injectResponseData(filter: HttpFilter, data: Buffer, endStream: boolean): void {
    const at = this.parts.list.indexOf(filter)
    if (at >= 0) this.responseDataFrom(at - 1, data, 0, data.length, endStream)
  }

  /** A filter that took data ends the response by trailers. */
  injectResponseTrailers(filter: HttpFilter, trailers: HeaderTable): void {
    const at = this.parts.list.indexOf(filter)
    if (at >= 0) this.responseTrailersFrom(at - 1, trailers)
  }

  responseTrailers(trailers: HeaderTable): void {
    if (!this.parts.responseData && this.response.stoppedAt < 0) this.out.trailers(trailers)
    else this.responseTrailersFrom(this.parts.list.length - 1, trailers)
  }

  private responseTrailersFrom(from: number, trailers: HeaderTable): void {
    const { exchange, response } = this
    const { list } = this.parts
    for (let i = from; i >= 0; i--) {
      if (i === response.stoppedAt && response.status === 'stop') {
        response.heldTrailers = trailers
        return
      }
      const status = list[i]!.onResponseTrailers?.(exchange, trailers) ?? 'continue'
      if (exchange.done) return
      if (status !== 'continue') {
        this.isKept = true
        response.stoppedAt = i
        response.status = status
        response.heldTrailers = trailers
        return
      }
      if (i === response.stoppedAt) {
        response.heldTrailers = trailers
        this.continueResponse()
        return
      }
    }
    this.out.trailers(trailers)
  }

  /** The stopped filter lets the response go on. */
  continueResponse(): void {
    const { response, exchange } = this
    const at = response.stoppedAt
    if (at < 0) return
    const { status, held, heldEnd, heldTrailers } = response
    response.stoppedAt = -1
    response.held = []
    response.heldBytes = 0
    response.heldEnd = false
    response.heldTrailers = null
    if (!this.out.headSent) this.responseHead(at - 1, response.headEndsStream)
    const from = status === 'stop' ? at : at - 1
    for (let i = 0; i < held.length; i++) {
      if (exchange.done) return
      const piece = held[i]!
      this.responseDataFrom(from, piece, 0, piece.length, heldEnd && heldTrailers === null && i === held.length - 1)
    }
    if (held.length === 0 && heldEnd && !exchange.done) this.responseDataFrom(from, empty, 0, 0, true)
    if (heldTrailers !== null && !exchange.done) this.responseTrailersFrom(at - 1, heldTrailers)
    if (response.paused && response.stoppedAt < 0) {
      response.paused = false
      exchange.terminal.resumeResponse()
    }
  }

  /** The body that is held, whole, becomes this. */
  replaceRequestBody(data: Buffer): void {
    this.request.held = data.length > 0 ? [data] : []
    this.request.heldBytes = data.length
  }

  replaceResponseBody(data: Buffer): void {
    this.response.held = data.length > 0 ? [data] : []
    this.response.heldBytes = data.length
  }

  /** The exchange is over. */
  complete(): void {
    const { exchange, parts } = this
    if (parts.end) for (let i = 0; i < parts.list.length; i++) parts.list[i]!.onComplete?.(exchange)
    this.forget()
  }
}

const empty = Buffer.alloc(0)
