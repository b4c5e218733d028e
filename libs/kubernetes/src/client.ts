import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { StringDecoder } from 'node:string_decoder'
import { type ErrorCode, WeftError } from '@weft/service/errors'
import type { ClusterAccess } from './access.ts'

/** What the API server answered. */
export interface Answer {
  status: number
  /** Parsed JSON; undefined when there was none. */
  body: unknown
}

export interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** `/api/v1/services`. */
  path: string
  query?: Readonly<Record<string, string>>
  body?: unknown
  /** Of the body; `application/json` by default. A PATCH says which kind it is. */
  contentType?: string
  signal?: AbortSignal
  /** Longest time until the whole answer is there. */
  timeoutMs?: number
}

export interface ClientLimits {
  /** Longest answer that is read. */
  maxAnswerBytes: number
  /** Longest line of a watch: one object. */
  maxLineBytes: number
  /** A watch on which nothing came for so long (bookmarks come every minute) is taken for dead. */
  idleMs: number
}

const defaultClientLimits: ClientLimits = { maxAnswerBytes: 256 << 20, maxLineBytes: 16 << 20, idleMs: 150_000 }

const defaultTimeoutMs = 30_000

/** A small client of the Kubernetes API: JSON over kept connections, and watches line by line. */
export class KubernetesClient {
  readonly access: ClusterAccess
  readonly #limits: ClientLimits
  readonly #agent: HttpAgent
  readonly #url: URL

  constructor(access: ClusterAccess, limits: Partial<ClientLimits> = {}) {
    this.access = access
    this.#limits = { ...defaultClientLimits, ...limits }
    this.#url = new URL(access.server)
    const options = { keepAlive: true, keepAliveMsecs: 15_000, scheduling: 'lifo' as const }
    this.#agent = this.#url.protocol === 'http:' ? new HttpAgent(options) : new HttpsAgent(options)
  }

  /** Sends one call and gives whatever was answered. Throws `unavailable` when nothing was. */
  async send(call: Call): Promise<Answer> {
    const timeout = AbortSignal.timeout(call.timeoutMs ?? defaultTimeoutMs)
    const signal = call.signal === undefined ? timeout : AbortSignal.any([timeout, call.signal])
    const response = await this.#open(call, signal)
    try {
      return { status: response.statusCode ?? 0, body: parseJson(await this.#readAll(response)) }
    } catch (cause) {
      throw this.#lost(call, cause)
    }
  }

  /** Sends one call and gives the body of a good answer. Throws a WeftError with the server's words otherwise. */
  async call(call: Call): Promise<unknown> {
    const answer = await this.send(call)
    if (answer.status >= 200 && answer.status < 300) return answer.body
    throw answerError(call, answer)
  }

  /**
   * Opens a watch; resolves when the server has taken it. Its events come as parsed JSON, those of one piece of data together;
   * they end when the server ends the watch, and throw when the connection is lost or idles. A refusal is given as its answer.
   */
  async watch(call: Call, signal: AbortSignal): Promise<{ events: AsyncGenerator<unknown[], void> } | { refused: Answer }> {
    const response = await this.#open(call, signal, this.#limits.idleMs)
    if (response.statusCode === 200) return { events: this.#events(call, response) }
    try {
      return { refused: { status: response.statusCode ?? 0, body: parseJson(await this.#readAll(response)) } }
    } catch (cause) {
      throw this.#lost(call, cause)
    }
  }

  async *#events(call: Call, response: IncomingMessage): AsyncGenerator<unknown[], void> {
    const decoder = new StringDecoder('utf8')
    let rest = ''
    try {
      for await (const chunk of response) {
        rest += decoder.write(Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk)))
        const end = rest.lastIndexOf('\n')
        if (end < 0) {
          if (rest.length > this.#limits.maxLineBytes)
            throw new Error(`an event is longer than ${this.#limits.maxLineBytes} bytes`)
          continue
        }
        const lines = rest.slice(0, end).split('\n')
        rest = rest.slice(end + 1)
        yield lines.filter((line) => line.trim() !== '').map((line): unknown => JSON.parse(line))
      }
      if (rest.trim() !== '') throw new Error('it ended in the middle of an event')
    } catch (cause) {
      throw this.#lost(call, cause)
    } finally {
      response.destroy()
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  async #open(call: Call, signal: AbortSignal, idleMs?: number): Promise<IncomingMessage> {
    const { access } = this
    const [token, ca, certificate] = await Promise.all([access.token(), access.ca(), access.clientCertificate()])
    const query = call.query === undefined ? '' : `?${new URLSearchParams(call.query).toString()}`
    const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body))
    const isHttps = this.#url.protocol === 'https:'
    const options: RequestOptions & Record<string, unknown> = {
      agent: this.#agent,
      host: this.#url.hostname.replace(/^\[|\]$/g, ''),
      port: this.#url.port || (isHttps ? 443 : 80),
      method: call.method ?? 'GET',
      path: `${this.#url.pathname.replace(/\/$/, '')}${call.path}${query}`,
      signal,
      headers: {
        // Key sets come as application/jwk-set+json.
        accept: 'application/json, */*;q=0.1',
        'user-agent': 'weft',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json', 'content-length': body.length }),
      },
      ...(isHttps
        ? {
            ...(ca === undefined ? {} : { ca }),
            ...certificate,
            ...(access.serverName === undefined ? {} : { servername: access.serverName }),
            rejectUnauthorized: !access.skipVerify,
          }
        : {}),
    }
    const isIdempotent = call.method !== 'POST'
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const request = (isHttps ? httpsRequest : httpRequest)(options, (response) => {
        if (response.statusCode === 401) access.refused?.()
        resolve(response)
      })
      request.on('error', (cause) => {
        // A kept connection that the server was just ending: the next one is another.
        const wasEnded = request.reusedSocket && 'code' in cause && cause.code === 'ECONNRESET'
        if (wasEnded && isIdempotent && !signal.aborted) resolve(this.#open(call, signal, idleMs))
        else reject(this.#lost(call, cause))
      })
      // A connection that is there and silent.
      if (idleMs !== undefined) request.setTimeout(idleMs, () => request.destroy(new Error(`nothing came for ${idleMs} ms`)))
      request.end(body)
    })
  }

  async #readAll(response: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of response) {
      const piece = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk))
      bytes += piece.length
      if (bytes > this.#limits.maxAnswerBytes) throw new Error(`the answer is longer than ${this.#limits.maxAnswerBytes} bytes`)
      chunks.push(piece)
    }
    return Buffer.concat(chunks).toString('utf8')
  }

  #lost(call: Call, cause: unknown): WeftError {
    if (cause instanceof WeftError) return cause
    const { message } = WeftError.from(cause)
    return new WeftError('unavailable', `the API server at ${this.access.server} gave no answer: ${message}`, {
      where: { path: call.path },
      cause,
    })
  }
}

const codes: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_argument',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'not_found',
  409: 'already_exists',
  410: 'failed_precondition',
  422: 'invalid_argument',
  429: 'resource_exhausted',
}

/** An answer that is no success, as an error with the server's own words. */
export function answerError({ method = 'GET', path }: Call, { status, body }: Answer): WeftError {
  const said = typeof body === 'object' && body !== null && 'message' in body ? String(body.message).slice(0, 500) : ''
  const code = codes[status] ?? (status >= 500 ? 'unavailable' : 'internal')
  const hint = status === 403 ? 'give the service account the right by RBAC' : undefined
  return new WeftError(code, `the API server answered ${method} with ${status}${said === '' ? '' : `: ${said}`}`, {
    where: { path },
    hint,
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text === '' ? undefined : { message: text.slice(0, 500) }
  }
}
