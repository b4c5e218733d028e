import { readFile } from 'node:fs/promises'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { StringDecoder } from 'node:string_decoder'
import { type ErrorCode, WeftError } from '@weft/service/errors'

export interface PlatformClientOptions {
  /** For people: `Consul`, `Nomad`. */
  platform: string
  url: URL
  /** The header that carries the token. */
  tokenHeader: string
  /** Read again when it may have been replaced. */
  tokenFile?: string | undefined
  caFile?: string | undefined
  certFile?: string | undefined
  keyFile?: string | undefined
  /** Requests beyond these wait. */
  maxConnections: number
}

export interface PlatformAnswer {
  headers: IncomingMessage['headers']
  /** The parsed body. */
  body: unknown
}

export interface RequestOptions {
  signal: AbortSignal
  /** Longest time without any byte of an answer. */
  timeoutMs: number
  /** What status 404 means, where it means that there is nothing. */
  absent?: unknown
}

const maxAnswerBytes = 256 << 20
const maxLineBytes = 32 << 20
const maxErrorBytes = 4_096
/** A peer that vanished is noticed after this time and ten probes, a second apart. */
const keepAliveMs = 15_000
/** Token and certificates are read again at most this often. */
const credentialsFreshMs = 1_000

interface Credentials {
  token: string | undefined
  agent: HttpAgent | HttpsAgent
  tls: string
  readAtMs: number
}

/** Asks one HTTP API for JSON, over kept connections, with a token and TLS files that are read again as they are replaced. */
export class PlatformClient {
  readonly #options: PlatformClientOptions
  #credentials: Promise<Credentials> | undefined
  #current: Credentials | undefined

  constructor(options: PlatformClientOptions) {
    this.#options = options
  }

  /** A JSON answer with status 200. Throws `unavailable`, or what a status means, with what the platform said. */
  async get(path: string, query: Readonly<Record<string, string>>, options: RequestOptions): Promise<PlatformAnswer> {
    const response = await this.#send(path, query, options)
    const chunks: Buffer[] = []
    let bytes = 0
    try {
      for await (const chunk of response) {
        bytes += chunk.length
        if (bytes > maxAnswerBytes) throw new Error(`the answer has more than ${maxAnswerBytes} bytes`)
        chunks.push(chunk)
      }
      const isAbsent = response.statusCode === 404
      return { headers: response.headers, body: isAbsent ? options.absent : JSON.parse(Buffer.concat(chunks).toString('utf8')) }
    } catch (cause) {
      response.destroy()
      throw this.#error('unavailable', path, cause instanceof Error ? cause.message : String(cause), cause)
    }
  }

  /** The lines of an answer that goes on, each parsed. Ends when the platform ends it; throws when it breaks. */
  async *lines(path: string, query: Readonly<Record<string, string>>, options: RequestOptions): AsyncGenerator<unknown> {
    const response = await this.#send(path, query, options)
    const decoder = new StringDecoder('utf8')
    let rest = ''
    try {
      for await (const chunk of response) {
        const lines = (rest + decoder.write(chunk)).split('\n')
        rest = lines.pop() ?? ''
        if (rest.length > maxLineBytes) throw new Error(`a line has more than ${maxLineBytes} bytes`)
        for (const line of lines) if (line.trim() !== '') yield JSON.parse(line)
      }
    } catch (cause) {
      throw this.#error('unavailable', path, cause instanceof Error ? cause.message : String(cause), cause)
    } finally {
      response.destroy()
    }
  }

  close(): void {
    this.#current?.agent.destroy()
  }

  async #send(
    path: string,
    query: Readonly<Record<string, string>>,
    { signal, timeoutMs, absent }: RequestOptions,
  ): Promise<IncomingMessage> {
    const { token, agent } = await this.#readCredentials()
    const { platform, url, tokenHeader } = this.#options
    const target = new URL(url.pathname.replace(/\/$/, '') + path, url)
    for (const [name, value] of Object.entries(query)) target.searchParams.append(name, value)
    const request = target.protocol === 'https:' ? httpsRequest : httpRequest
    const headers = { accept: 'application/json', ...(token === undefined ? {} : { [tokenHeader]: token }) }
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(target, { agent, headers, signal, timeout: timeoutMs }, resolve)
      sent.on('socket', (socket) => socket.setKeepAlive(true, keepAliveMs))
      sent.on('timeout', () => sent.destroy(new Error(`no answer within ${Math.round(timeoutMs / 1_000)} s`)))
      sent.on('error', (cause) => reject(this.#error('unavailable', path, reasonOf(cause), cause)))
      sent.end()
    })
    if (response.statusCode === 200 || (response.statusCode === 404 && absent !== undefined)) return response
    const said = await beginning(response)
    const status = response.statusCode ?? 0
    const message = `status ${status}${said === '' ? '' : `: ${said}`}`
    const code: ErrorCode = status === 401 || status === 403 ? 'permission_denied' : status === 404 ? 'not_found' : 'unavailable'
    const hint =
      code === 'permission_denied' ? `see that ${platform}'s token may read services; give it by ?token-file=FILE` : undefined
    throw this.#error(code, path, message, undefined, hint)
  }

  #error(code: ErrorCode, path: string, message: string, cause: unknown, hint?: string): WeftError {
    const { platform, url } = this.#options
    return new WeftError(code, `${platform} at ${url.origin} cannot be followed: ${message}`, {
      where: { path },
      hint: hint ?? 'what it said last stays in force; it is asked again and again',
      cause,
    })
  }

  async #readCredentials(): Promise<Credentials> {
    const known = this.#current
    if (known !== undefined && performance.now() - known.readAtMs < credentialsFreshMs) return known
    this.#credentials ??= this.#load().finally(() => {
      this.#credentials = undefined
    })
    return await this.#credentials
  }

  async #load(): Promise<Credentials> {
    const { tokenFile, caFile, certFile, keyFile, url, maxConnections } = this.#options
    const [token, ca, cert, key] = await Promise.all([tokenFile, caFile, certFile, keyFile].map((file) => this.#read(file)))
    const tls = JSON.stringify([ca, cert, key])
    const known = this.#current
    const options = { keepAlive: true, maxSockets: maxConnections, maxFreeSockets: 16 }
    const agent =
      known?.tls === tls
        ? known.agent
        : url.protocol === 'https:'
          ? new HttpsAgent({ ...options, ca, cert, key })
          : new HttpAgent(options)
    this.#current = { token: token?.trim(), agent, tls, readAtMs: performance.now() }
    return this.#current
  }

  async #read(file: string | undefined): Promise<string | undefined> {
    if (file === undefined) return undefined
    return await readFile(file, 'utf8').catch((cause: unknown) => {
      throw new WeftError(
        'unavailable',
        `${this.#options.platform}'s credentials cannot be read: ${WeftError.from(cause).message}`,
        {
          where: { file },
          hint: 'it is read again as long as it takes',
          cause,
        },
      )
    })
  }
}

/** What went wrong with a connection, in words: OpenSSL puts them after addresses of its memory. */
function reasonOf(error: Error): string {
  return 'reason' in error && typeof error.reason === 'string' ? `TLS: ${error.reason}` : error.message
}

/** The beginning of an answer's text, in one line. */
async function beginning(response: IncomingMessage): Promise<string> {
  let text = ''
  try {
    for await (const chunk of response) {
      text += chunk.toString('utf8')
      if (text.length > maxErrorBytes) break
    }
  } catch {
    // What came of it has to do.
  }
  response.destroy()
  return text.slice(0, 300).replaceAll(/\s+/g, ' ').trim()
}
