import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { WeftError } from '@weft/service/errors'
import type { WorkerServices } from '../worker-services.ts'
import { errorCodeOf, grpcStatusName } from './grpc-status.ts'

/** One unary method: where it is and how its messages are written and read. */
export interface UnaryMethod<Request, Response> {
  /** `/istio.mixer.v1.Mixer/Check`. */
  readonly path: string
  encode(request: Request): Uint8Array
  /** Throws for bytes that are no such message. */
  decode(bytes: Uint8Array): Response
}

export interface UnaryOptions {
  deadlineMs: number
  /** Aborts the call: the request it was for is over. */
  signal?: AbortSignal | undefined
  metadata?: Readonly<Record<string, string>> | undefined
  /** Told the answer's leading metadata, and which endpoint gave it, when a call succeeds. */
  onMetadata?: ((metadata: IncomingHttpHeaders, endpoint: string) => void) | undefined
}

export interface GrpcClientOptions {
  /** Calls under way at once; more are refused with `resource_exhausted`. */
  maxInFlight?: number
  /** Longest answer taken. */
  maxMessageBytes?: number
}

const DEFAULT_MAX_IN_FLIGHT = 1024
const DEFAULT_MAX_MESSAGE_BYTES = 4 << 20
/** A connection on which this many calls in a row got no answer in time is given up: the peer may be gone without a word. */
const MAX_TIMEOUTS_IN_A_ROW = 3
/** The least time for a call that has to connect first: a deadline of a few milliseconds is meant for what stands. */
const CONNECTING_MS = 100
/** Connections to endpoints that the balancer no longer picks are closed after this. */
const IDLE_MS = 60_000

interface Session {
  readonly http2: ClientHttp2Session
  /** What the TLS options were when it was made; other ones (a rotated certificate) make a new session. */
  readonly secureContext: ConnectionOptions['secureContext']
  inFlight: number
  timeoutsInARow: number
  lastUsedMs: number
  /** Takes no new call, and is closed with its last one. */
  isRetiring: boolean
}

/**
 * Unary gRPC calls to a cluster of the worker's plan, over one HTTP/2 connection an endpoint. Each call goes to the
 * endpoint that the load balancer picks now, so changes of endpoints are followed; a connection made with secrets that
 * have since rotated gets no new call. Built on node's HTTP/2 rather than grpc-js: connections are then made with exactly
 * the options that the cluster gives (certificate, SNI, match of names), and a call costs less.
 */
export class GrpcClient {
  readonly #services: WorkerServices
  readonly #cluster: string
  readonly #maxInFlight: number
  readonly #maxMessageBytes: number
  readonly #sessions = new Map<string, Session>()
  #inFlight = 0
  #isClosed = false
  #modules: Promise<typeof import('node:http2')> | undefined

  constructor(services: WorkerServices, cluster: string, options: GrpcClientOptions = {}) {
    this.#services = services
    this.#cluster = cluster
    this.#maxInFlight = options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT
    this.#maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES
  }

  /**
   * Calls a method. Rejects with WeftError: `unavailable` when no endpoint can be reached, `deadline_exceeded`,
   * `resource_exhausted` when too many calls are under way, `cancelled`, or what the server's status maps to.
   */
  async unary<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    options: UnaryOptions,
  ): Promise<Response> {
    if (this.#isClosed) throw this.#unavailable('the client is closed')
    if (this.#inFlight >= this.#maxInFlight) {
      throw new WeftError('resource_exhausted', `${this.#maxInFlight} calls to cluster '${this.#cluster}' are under way`)
    }
    this.#inFlight++
    try {
      this.#modules ??= import('node:http2')
      const http2 = await this.#modules
      return await this.#call(http2, method, request, options)
    } finally {
      this.#inFlight--
    }
  }

  /** Loads what calls need, so that the first is as fast as the others. */
  warm(): void {
    this.#modules ??= import('node:http2')
  }

  /** Ends all connections; calls under way are rejected. */
  close(): void {
    this.#isClosed = true
    for (const session of this.#sessions.values()) session.http2.destroy()
    this.#sessions.clear()
  }

  async #call<Request, Response>(
    http2: typeof import('node:http2'),
    method: UnaryMethod<Request, Response>,
    request: Request,
    options: UnaryOptions,
  ): Promise<Response> {
    const cluster = this.#services.cluster(this.#cluster)
    if (cluster === undefined) throw this.#unavailable('there is no such cluster')
    const endpoint = cluster.pickAddress()
    if (endpoint === null) throw this.#unavailable('it has no healthy endpoint')
    const tls = cluster.tlsOptions(endpoint.key)
    if (tls === 'not-ready') throw this.#unavailable('its secrets have not come yet')
    const session = await this.#session(http2, endpoint, tls, cluster.connectTimeoutMs)
    const call = cluster.beginRequest(endpoint.key)
    call.sent()
    session.inFlight++
    session.lastUsedMs = performance.now()
    let outcome: 'success' | 'error' | 'timeout' | 'cancelled' = 'error'
    try {
      const answer = await exchange(
        session.http2,
        http2.constants.NGHTTP2_CANCEL,
        method,
        method.encode(request),
        options,
        session.http2.connecting ? Math.max(options.deadlineMs, CONNECTING_MS) : options.deadlineMs,
        this.#maxMessageBytes,
        (metadata) => options.onMetadata?.(metadata, endpoint.key),
      )
      outcome = 'success'
      session.timeoutsInARow = 0
      return answer
    } catch (thrown) {
      const error = WeftError.from(thrown)
      if (error.code === 'deadline_exceeded') {
        outcome = 'timeout'
        if (++session.timeoutsInARow >= MAX_TIMEOUTS_IN_A_ROW) this.#drop(endpoint.key, session)
      } else if (error.code === 'cancelled') outcome = 'cancelled'
      throw new WeftError(error.code, `cluster '${this.#cluster}' (${endpoint.key}): ${error.message}`, { cause: error.cause })
    } finally {
      call.end(outcome)
      session.inFlight--
      if (session.isRetiring && session.inFlight === 0) session.http2.close()
      this.#closeIdle()
    }
  }

  async #session(
    http2: typeof import('node:http2'),
    endpoint: { host: string; port: number; key: string },
    tls: ConnectionOptions | null,
    connectTimeoutMs: number,
  ): Promise<Session> {
    const known = this.#sessions.get(endpoint.key)
    if (known !== undefined && known.secureContext === tls?.secureContext) return known
    if (known !== undefined) this.#retire(known)
    // Loaded here, as http2 is: a proxy without such a cluster never needs them.
    const connectTls = tls === null ? null : (await import('node:tls')).connect
    const connectPlain = tls === null ? (await import('node:net')).connect : null
    const meanwhile = this.#sessions.get(endpoint.key)
    if (meanwhile !== undefined && meanwhile.secureContext === tls?.secureContext) return meanwhile
    const where = { host: endpoint.host, port: endpoint.port }
    const createConnection = (): Socket => {
      const socket =
        connectTls !== null
          ? connectTls({ ...where, ...tls, ALPNProtocols: ['h2'] })
          : connectPlain?.({ ...where, noDelay: true })
      if (socket === undefined) throw this.#unavailable('no connection can be made')
      return socket
    }
    const authority = tls?.servername ?? endpoint.key
    const session: Session = {
      http2: http2.connect(`${tls === null ? 'http' : 'https'}://${authority}`, { createConnection }),
      secureContext: tls?.secureContext,
      inFlight: 0,
      timeoutsInARow: 0,
      lastUsedMs: performance.now(),
      isRetiring: false,
    }
    const connectTimer = setTimeout(
      () => session.http2.destroy(new Error(`no connection within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    )
    session.http2.once('connect', () => clearTimeout(connectTimer))
    session.http2.on('error', (error) => {
      this.#services.log('debug', `connection to ${endpoint.key} of cluster ${this.#cluster}: ${error.message}`)
    })
    session.http2.on('goaway', () => this.#forget(endpoint.key, session))
    session.http2.once('close', () => {
      clearTimeout(connectTimer)
      this.#forget(endpoint.key, session)
    })
    this.#sessions.set(endpoint.key, session)
    return session
  }

  /** Lets a session finish its calls and takes it out of use. */
  #retire(session: Session): void {
    for (const [key, held] of this.#sessions) if (held === session) this.#sessions.delete(key)
    session.isRetiring = true
    if (session.inFlight === 0) session.http2.close()
  }

  #forget(key: string, session: Session): void {
    if (this.#sessions.get(key) === session) this.#sessions.delete(key)
  }

  #drop(key: string, session: Session): void {
    this.#forget(key, session)
    session.http2.destroy()
  }

  #closeIdle(): void {
    if (this.#sessions.size < 2) return
    const before = performance.now() - IDLE_MS
    for (const session of this.#sessions.values())
      if (session.inFlight === 0 && session.lastUsedMs < before) this.#retire(session)
  }

  #unavailable(problem: string): WeftError {
    return new WeftError('unavailable', `cluster '${this.#cluster}': ${problem}`)
  }
}

const clients = new WeakMap<WorkerServices, Map<string, GrpcClient>>()

/** The worker's client to a cluster: all filters share it, and with it the connections. */
export function grpcClient(services: WorkerServices, cluster: string): GrpcClient {
  let ofWorker = clients.get(services)
  if (ofWorker === undefined) {
    ofWorker = new Map()
    clients.set(services, ofWorker)
  }
  let client = ofWorker.get(cluster)
  if (client === undefined) {
    client = new GrpcClient(services, cluster)
    ofWorker.set(cluster, client)
  }
  return client
}

/** One request message out, one answer message back within `patienceMs`, by gRPC's HTTP/2 mapping (grpc/doc/PROTOCOL-HTTP2.md). */
function exchange<Request, Response>(
  session: ClientHttp2Session,
  cancelCode: number,
  method: UnaryMethod<Request, Response>,
  message: Uint8Array,
  options: UnaryOptions,
  patienceMs: number,
  maxMessageBytes: number,
  onMetadata: (metadata: IncomingHttpHeaders) => void,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    let stream: ClientHttp2Stream
    try {
      stream = session.request({
        ':method': 'POST',
        ':path': method.path,
        'content-type': 'application/grpc',
        te: 'trailers',
        'grpc-timeout': `${Math.max(1, Math.round(options.deadlineMs))}m`,
        ...options.metadata,
      })
    } catch (thrown) {
      reject(new WeftError('unavailable', WeftError.from(thrown).message, { cause: thrown }))
      return
    }
    const chunks: Buffer[] = []
    let size = 0
    let headers: IncomingHttpHeaders = {}
    let problem: WeftError | undefined
    const stop = (error: WeftError): void => {
      problem ??= error
      stream.close(cancelCode)
    }
    const timer = setTimeout(() => stop(new WeftError('deadline_exceeded', `no answer within ${patienceMs} ms`)), patienceMs)
    const onAbort = (): void => stop(new WeftError('cancelled', 'the call was cancelled'))
    options.signal?.addEventListener('abort', onAbort, { once: true })
    if (options.signal?.aborted) onAbort()
    stream.on('response', (received) => {
      headers = received
    })
    stream.on('trailers', (received) => {
      headers = { ...headers, ...received }
    })
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxMessageBytes + 5)
        stop(new WeftError('resource_exhausted', `the answer is longer than ${maxMessageBytes} bytes`))
      else chunks.push(chunk)
    })
    stream.on('error', (error) => {
      problem ??= new WeftError('unavailable', error.message, { cause: error })
    })
    stream.once('close', () => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', onAbort)
      problem ??= statusProblem(headers, stream.rstCode)
      if (problem !== undefined) {
        reject(problem)
        return
      }
      onMetadata(headers)
      try {
        resolve(method.decode(unframe(Buffer.concat(chunks))))
      } catch (thrown) {
        reject(new WeftError('internal', `the answer cannot be read: ${WeftError.from(thrown).message}`, { cause: thrown }))
      }
    })
    stream.end(frame(message))
  })
}

function statusProblem(headers: IncomingHttpHeaders, rstCode: number): WeftError | undefined {
  const status = headers['grpc-status']
  if (status !== undefined) {
    const code = Number(status)
    if (code === 0) return undefined
    const message = decodeMessage(String(headers['grpc-message'] ?? ''))
    return new WeftError(errorCodeOf(code), `${grpcStatusName(code)}${message === '' ? '' : `: ${message}`}`)
  }
  const http = headers[':status']
  if (http === undefined) return new WeftError('unavailable', `the connection ended without an answer (code ${rstCode})`)
  return new WeftError('unavailable', `the answer has HTTP status ${http} and no grpc-status`)
}

/** grpc-message is percent-encoded; what is not is taken as it stands. */
function decodeMessage(message: string): string {
  try {
    return decodeURIComponent(message).slice(0, 1000)
  } catch {
    return message.slice(0, 1000)
  }
}

function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(5 + message.length)
  framed[0] = 0
  framed.writeUInt32BE(message.length, 1)
  framed.set(message, 5)
  return framed
}

function unframe(framed: Buffer): Buffer {
  if (framed.length < 5) throw new Error('it has no message')
  if (framed[0] !== 0) throw new Error('it is compressed, which was not asked for')
  const length = framed.readUInt32BE(1)
  if (framed.length !== 5 + length) throw new Error(`its message of ${length} bytes came as ${framed.length - 5}`)
  return framed.subarray(5)
}
