import type { HeaderTable } from '@weft/http/header-table'
import type { FilterContext, FilterRequest } from '../../../filter.ts'
import type { FilterStatus, HttpFilter, HttpStream } from '../filter.ts'
import type { Definition } from './module-source.ts'
import { nameLength, Reply, requestOf, responseOf } from './views.ts'

/** What a filter was configured with. */
export interface FilterSettings {
  name: string
  config: unknown
  failureModeAllow: boolean
  timeoutMs: number
  /** null: the connection's limit. */
  maxBodyBytes: number | null
  counters: { replied: { inc(): void }; failed: { inc(): void }; timedOut: { inc(): void } }
  log(level: 'info' | 'warn' | 'error', message: string): void
}

/** A user's filter in one request. */
export class TypeScriptRun implements HttpFilter {
  /** Whoever wrote it may have kept the request. */
  readonly keepsStream = true
  private definition: Definition | null
  private readonly coming: Promise<Definition> | null
  private readonly settings: FilterSettings
  private readonly context: FilterContext<unknown>
  private request: FilterRequest | null = null
  private done = false
  /** Bodies so far; null: not looked at. */
  private requestBody: Buffer[] | null = null
  private responseBody: Buffer[] | null = null
  private responseBytes = 0
  /** Called with the body's end, once the head's function is through. */
  private requestEnded: (() => void) | null = null
  private responseEnded: (() => void) | null = null

  constructor(definition: Definition | Promise<Definition>, settings: FilterSettings, config: unknown) {
    this.definition = definition instanceof Promise ? null : definition
    this.coming = definition instanceof Promise ? definition : null
    this.settings = settings
    this.context = { config, log: (message) => settings.log('info', message) }
  }

  private view(stream: HttpStream): FilterRequest {
    this.request ??= requestOf(stream)
    return this.request
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    if (this.coming !== null) {
      // The module is still being loaded: it is not known yet whether it wants bodies.
      stream.requestBufferLimit = this.settings.maxBodyBytes ?? stream.requestBufferLimit
      if (!endStream) this.requestBody = []
      void this.whenLoaded(stream, endStream)
      return 'buffer'
    }
    const { definition } = this
    if (definition?.onRequestBody === undefined) {
      if (definition?.onRequest === undefined) return 'continue'
      return this.call(
        stream,
        () => definition.onRequest?.(this.view(stream), this.context),
        (result) => this.goOn(stream, result),
      )
    }
    stream.requestBufferLimit = this.settings.maxBodyBytes ?? stream.requestBufferLimit
    if (!endStream) this.requestBody = []
    void this.wholeRequest(stream, endStream)
    return 'buffer'
  }

  private async whenLoaded(stream: HttpStream, endStream: boolean): Promise<void> {
    try {
      this.definition = await this.coming
    } catch (error) {
      if (!this.done) this.fail(stream, error, () => this.letRequestGo(stream))
      return
    }
    if (!this.done) await this.wholeRequest(stream, endStream)
  }

  /** Both functions of a request, the one for the body when it is all there. */
  private async wholeRequest(stream: HttpStream, endStream: boolean): Promise<void> {
    const { definition, context } = this
    const ended = endStream ? Promise.resolve() : new Promise<void>((resolve) => (this.requestEnded = resolve))
    try {
      const reply = await this.limited(definition?.onRequest?.(this.view(stream), context))
      if (this.done) return
      if (reply instanceof Reply) return this.send(stream, reply)
      if (definition?.onRequestBody !== undefined) {
        await ended
        if (this.done) return
        const body = Buffer.concat(this.requestBody ?? [])
        const result = await this.limited(definition.onRequestBody(this.view(stream), body, context))
        if (this.done) return
        if (result instanceof Reply) return this.send(stream, result)
        if (result !== undefined) this.replaceRequestBody(stream, bytesOf(result), endStream)
      }
    } catch (error) {
      if (!this.done) this.fail(stream, error, () => this.letRequestGo(stream))
      return
    }
    this.letRequestGo(stream)
  }

  private replaceRequestBody(stream: HttpStream, body: Buffer, hadNone: boolean): void {
    if (hadNone) {
      if (body.length > 0) throw new Error('a request without a body cannot be given one')
      return
    }
    nameLength(stream.request.headers, body.length)
    stream.replaceRequestBody(body)
  }

  onRequestData(_stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    const { requestBody } = this
    if (requestBody === null) return 'continue'
    requestBody.push(Buffer.from(data))
    // What is too long is answered where bytes are kept.
    if (endStream) queueMicrotask(() => this.requestEnded?.())
    return 'buffer'
  }

  onRequestTrailers(_stream: HttpStream, _trailers: HeaderTable): FilterStatus {
    if (this.requestBody === null) return 'continue'
    queueMicrotask(() => this.requestEnded?.())
    return 'buffer'
  }

  /** What still comes of the body is not looked at. */
  private letRequestGo(stream: HttpStream): void {
    this.requestBody = null
    stream.continueRequest()
  }

  onResponseHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    const { definition } = this
    if (definition === null) return 'continue'
    const { onResponse, onResponseBody } = definition
    if (onResponseBody === undefined) {
      if (onResponse === undefined) return 'continue'
      const call = () => onResponse.call(definition, responseOf(stream), this.view(stream), this.context)
      return this.call(stream, call, () => stream.continueResponse())
    }
    if (!endStream) this.responseBody = []
    void this.wholeResponse(stream, endStream)
    return 'buffer'
  }

  private async wholeResponse(stream: HttpStream, endStream: boolean): Promise<void> {
    const { definition, context } = this
    const ended = endStream ? Promise.resolve() : new Promise<void>((resolve) => (this.responseEnded = resolve))
    try {
      await this.limited(definition?.onResponse?.(responseOf(stream), this.view(stream), context))
      await ended
      if (this.done || (this.responseBody === null && !endStream)) return
      const body = Buffer.concat(this.responseBody ?? [])
      const result = await this.limited(definition?.onResponseBody?.(responseOf(stream), body, this.view(stream), context))
      if (this.done) return
      if (result !== undefined) {
        const bytes = bytesOf(result)
        if (endStream && bytes.length > 0) throw new Error('an answer without a body cannot be given one')
        if (!endStream) {
          nameLength(stream.response.headers, bytes.length)
          stream.replaceResponseBody(bytes)
        }
      }
    } catch (error) {
      if (!this.done) this.fail(stream, error, () => stream.continueResponse())
      return
    }
    stream.continueResponse()
  }

  onResponseData(stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    const { responseBody } = this
    if (responseBody === null) return 'continue'
    this.responseBytes += data.length
    const limit = this.settings.maxBodyBytes ?? stream.requestBufferLimit
    if (this.responseBytes > limit) {
      this.responseBody = null
      this.fail(stream, new Error(`an answer's body has more than ${limit} bytes`), () => {})
      return this.settings.failureModeAllow ? 'continue' : 'buffer'
    }
    responseBody.push(Buffer.from(data))
    if (endStream) queueMicrotask(() => this.responseEnded?.())
    return 'buffer'
  }

  onResponseTrailers(_stream: HttpStream, _trailers: HeaderTable): FilterStatus {
    if (this.responseBody === null) return 'continue'
    queueMicrotask(() => this.responseEnded?.())
    return 'buffer'
  }

  onComplete(): void {
    this.done = true
  }

  /** Calls a function for a head; without a promise the message goes on at once. */
  private call(stream: HttpStream, run: () => unknown, onward: (result: unknown) => void): FilterStatus {
    let result: unknown
    try {
      result = run()
    } catch (error) {
      return this.fail(stream, error, null) ? 'continue' : 'stop'
    }
    if (!isPromise(result)) {
      if (!(result instanceof Reply)) return 'continue'
      this.send(stream, result)
      return 'stop'
    }
    this.limited(result).then(
      (settled) => {
        if (!this.done) onward(settled)
      },
      (error: unknown) => {
        if (!this.done) this.fail(stream, error, () => onward(undefined))
      },
    )
    return 'stop'
  }

  private goOn(stream: HttpStream, result: unknown): void {
    if (result instanceof Reply) this.send(stream, result)
    else this.letRequestGo(stream)
  }

  /** What the promise comes to, or a throw when it takes too long. */
  private async limited<T>(result: T | Promise<T>): Promise<T> {
    if (!isPromise(result)) return result
    const { timeoutMs, counters } = this.settings
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        counters.timedOut.inc()
        reject(new Error(`it took longer than ${timeoutMs} ms`))
      }, timeoutMs)
    })
    try {
      return await Promise.race([result, late])
    } finally {
      clearTimeout(timer)
    }
  }

  private send(stream: HttpStream, { status, body, headers }: Reply): void {
    this.settings.counters.replied.inc()
    const sent = typeof body === 'string' ? body : Buffer.from(body)
    const { name } = this.settings
    stream.reply(status, sent, { details: `typescript_filter_reply{${name}}`, headers: Object.entries(headers) })
  }

  /** Counts and tells; goes on or answers as it is configured. Gives whether the message goes on. */
  private fail(stream: HttpStream, error: unknown, goOn: (() => void) | null): boolean {
    const { counters, failureModeAllow, name } = this.settings
    counters.failed.inc()
    this.settings.log('warn', error instanceof Error ? (error.stack ?? error.message) : String(error))
    if (!failureModeAllow) {
      stream.reply(500, `filter ${name} failed`, { details: `typescript_filter_failed{${name}}` })
      return false
    }
    goOn?.()
    return true
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function bytesOf(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.from(value)
  if (value instanceof Uint8Array) return Buffer.from(value)
  throw new TypeError(`a body is text or bytes, not ${typeof value}`)
}
