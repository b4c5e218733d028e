import type { Json } from './json.ts'
import type { WireMessage } from './message-reader.ts'

/** The ports of one run, which observations show as `<name>`. */
export type Ports = Readonly<Record<string, number>>

/** What an origin does with one request. Without a script it answers 200 with its name, the method and the target. */
export interface OriginAnswer {
  status?: number
  headers?: readonly (readonly [name: string, value: string])[]
  body?: string
  /** The body in chunks, each after a while. */
  chunks?: readonly string[]
  chunkDelayMs?: number
  trailers?: readonly (readonly [name: string, value: string])[]
  delayMs?: number
  /** Answered as soon as the head is there; the body is read on. */
  early?: boolean
  /** These bytes instead of an answer. */
  raw?: string
  /** What happens behind the answer, or (with `raw: ''`) in its place. */
  after?: 'keep' | 'close' | 'reset' | 'silence'
}

export interface OriginScript {
  /** In order; the last one repeats. */
  answers?: readonly OriginAnswer[]
  /** Instead: by the request's head. */
  choose?(message: WireMessage): OriginAnswer
  /** Nobody listens. */
  down?: boolean
  /** Accepts, and never reads. */
  readNothing?: boolean
  /** As soon as a connection comes. */
  onConnect?: 'close' | 'reset'
}

/** A request of HTTP/2: what it does not say is GET / of a.test. */
export interface Http2Request {
  headers?: Readonly<Record<string, string>>
  /** Pieces, or pauses in milliseconds. */
  body?: string | readonly (string | number)[]
  trailers?: Readonly<Record<string, string>>
  /** Its side stays open behind the body. */
  leaveOpen?: boolean
  cancelAfterMs?: number
  /** The whole connection is ended after so long. */
  leaveAfterMs?: number
}

/** What a client does on one connection. */
export interface ClientTurn {
  /** Speaks HTTP/2 instead: these requests, each when the one before is over. */
  http2?: readonly Http2Request[]
  /** Pieces of bytes, or pauses in milliseconds. */
  send: readonly (string | number)[]
  /** Final answers to wait for; 1 without. */
  answers?: number
  /** Waits for the connection's end instead, at most `patienceMs`. */
  untilClosed?: boolean
  patienceMs?: number
  /** Goes away after so long, without waiting for more. */
  leaveAfterMs?: number
  /** Ends the connection by RST when it leaves. */
  reset?: boolean
  /** Reads nothing for so long. */
  readAfterMs?: number
  /** Starts with the one before, instead of after it. */
  together?: boolean
  /** Speaks TLS; a handshake that fails is told as the connection's end. */
  tls?: TlsTurn
  /** Ends its side of the connection behind what it sends. */
  halfClose?: boolean
}

/** How a client speaks TLS. */
export interface TlsTurn {
  serverName?: string
  alpn?: readonly string[]
  /** Shows a certificate: one of the authority's, or one that signed itself. */
  certificate?: 'client' | 'stranger' | 'deep' | 'deepAlone' | 'revoked' | 'expired' | 'expiredStranger' | 'named'
  version?: 'TLSv1.2' | 'TLSv1.3'
  ciphers?: string
  curves?: string
  signatures?: string
  /** Which certificate the server shows, and what it staples to it, is told. */
  tellsServer?: boolean
  /** Connects once before, and tells whether the session is resumed. */
  resumes?: boolean
}

export interface ParityCase {
  name: string
  bootstrap(ports: Ports): Json
  /** Its origins by name; `a`, that answers, without. */
  origins?: Readonly<Record<string, OriginScript>>
  /** More ports than `http` and `admin`. */
  ports?: readonly string[]
  turns?: readonly (ClientTurn | string)[]
  /** Admin paths whose answers are compared, after the turns; JSON ones by what they say, not how they are laid out. */
  admin?: readonly string[]
  /** Only `--mode validate`: the exit code is what's compared. */
  validateOnly?: boolean
  /** Stats that a race decides here. */
  ignoreStats?: RegExp
  /** What upstreams see hangs on a race here. */
  ignoreUpstream?: boolean
}

/** A whole request without a body. */
export function get(path: string, ...headers: string[]): string {
  return request('GET', path, headers)
}

/** A whole request; a body brings its Content-Length. */
export function request(method: string, path: string, headers: readonly string[] = [], body?: string): string {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    ...(headers.some((line) => /^host:/i.test(line)) ? [] : ['host: a.test']),
    ...headers,
  ]
  if (body !== undefined) lines.push(`content-length: ${Buffer.byteLength(body)}`)
  return `${lines.join('\r\n')}\r\n\r\n${body ?? ''}`
}

/** Cases of a group, their names in front. */
export function group(name: string, cases: readonly ParityCase[]): ParityCase[] {
  return cases.map((one) => ({ ...one, name: `${name}/${one.name}` }))
}
