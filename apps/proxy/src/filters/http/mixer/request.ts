import { type HeaderTable, headerName } from '@weft/http/header-table'
import type { FilterStatus, HttpFilter, HttpStream } from '../filter.ts'
import type { ServicePlan } from './config.ts'
import { FORWARDED_HEADER, type ForwardedAttributes } from './forwarded-attributes.ts'
import type { MixerClient } from './mixer-client.ts'
import type { ReportBatch } from './report-batch.ts'
import { RequestAttributes } from './request-attributes.ts'
import { addResponseAttributes, type CheckFacts } from './response-attributes.ts'
import { addedHeaders, applyToRequest, applyToResponse } from './route-directive.ts'
import { GRPC_MESSAGE, GRPC_STATUS, requestHeaderBytes, responseFacts, StreamFacts } from './stream-facts.ts'
import { replyOf } from './verdict.ts'

/** What all requests of a compiled filter share. */
export interface MixerParts {
  readonly client: MixerClient | null
  readonly batch: ReportBatch | null
  readonly forwarded: ForwardedAttributes
}

const forwardedHeader = headerName(FORWARDED_HEADER)

/** The filter's part in one request. */
export class MixerRequest implements HttpFilter {
  readonly #service: ServicePlan
  readonly #parts: MixerParts
  #attributes: RequestAttributes | null = null
  #headerBytes = 0
  #check: CheckFacts | null = null
  #abort: AbortController | null = null
  #trailers: { status: string | null; message: string | null } | null = null

  readonly #makeSignal = (): AbortSignal => {
    this.#abort = new AbortController()
    return this.#abort.signal
  }

  constructor(service: ServicePlan, parts: MixerParts) {
    this.#service = service
    this.#parts = parts
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const service = this.#service
    const { client, batch } = this.#parts
    const { headers } = stream.request
    const asks = service.checks && client !== null
    const reports = service.reports && batch !== null
    const received = headers.get(forwardedHeader)
    if (asks || reports) {
      const attributes = new RequestAttributes(new StreamFacts(stream), service.baseFor(this.#parts.forwarded.read(received)))
      this.#attributes = attributes
      // Taken down now: later filters and the router change the request.
      if (reports) {
        this.#headerBytes = requestHeaderBytes(stream)
        attributes.snapshot()
      }
    }
    if (service.forwarded !== null) headers.set(forwardedHeader, service.forwarded)
    else if (received !== null) headers.remove(forwardedHeader)
    return asks ? this.#ask(stream, client) : 'continue'
  }

  onResponseHeaders(stream: HttpStream): FilterStatus {
    const operations = this.#check?.verdict.directive?.responseHeaderOperations
    if (operations !== undefined && operations.length > 0) applyToResponse(operations, stream.response.headers)
    return 'continue'
  }

  onResponseTrailers(stream: HttpStream, trailers: HeaderTable): FilterStatus {
    if (stream.isGrpc) this.#trailers = { status: trailers.get(GRPC_STATUS), message: trailers.get(GRPC_MESSAGE) }
    return 'continue'
  }

  onComplete(stream: HttpStream): void {
    this.#abort?.abort()
    this.#abort = null
    const { batch } = this.#parts
    if (batch === null || !this.#service.reports) return
    // A filter before this one may have answered, a fault for instance: such a request is reported too.
    const wasAsked = this.#attributes !== null
    const attributes = this.#attributes ?? new RequestAttributes(new StreamFacts(stream), this.#service.baseFor(null))
    const bag = attributes.snapshot(!wasAsked)
    addResponseAttributes(bag, responseFacts(stream, this.#headerBytes, this.#trailers, Date.now()), this.#check)
    batch.add(bag)
  }

  #ask(stream: HttpStream, client: MixerClient): FilterStatus {
    const attributes = this.#attributes
    if (attributes === null) return 'continue'
    const charges = this.#service.quotas(attributes)
    const known = client.check(attributes, charges, this.#service.failPolicy, this.#makeSignal)
    if (!(known instanceof Promise)) {
      this.#check = known
      return this.#act(stream, known) ? 'continue' : 'stop'
    }
    void known.then((check) => {
      this.#abort = null
      this.#check = check
      if (stream.done) return
      if (this.#act(stream, check)) stream.continueRequest()
    })
    return 'stop'
  }

  /** Applies a verdict; false: the request was answered here. */
  #act(stream: HttpStream, { verdict }: CheckFacts): boolean {
    const { directive } = verdict
    const reply = replyOf(verdict)
    if (reply !== undefined) {
      const headers = directive === undefined ? [] : addedHeaders(directive.responseHeaderOperations)
      stream.reply(reply.status, reply.body, { ...reply.options, headers })
      return false
    }
    if (directive !== undefined && applyToRequest(directive.requestHeaderOperations, stream.request)) stream.clearRoute()
    return true
  }
}
