import http from 'node:http'
import net from 'node:net'
import { StatsReader } from '../observe/stats-reader.ts'
import type { RuntimeValues } from '../plan/runtime.ts'
import { ProcessState } from '../shared/process-state.ts'
import { TokenBuckets } from '../shared/token-buckets.ts'
import type { FromWorker, ResourceError, ResourceUpdate } from '../threads.ts'
import { EndpointSlab } from '../upstream/endpoint-slab.ts'
import { ProxyWorker } from '../worker.ts'

/** A worker in this thread, driven as the main thread drives it. */
export class WorkerHarness {
  readonly stats = new StatsReader()
  /** What the main thread tells through shared memory. */
  readonly state = new ProcessState()
  private readonly worker: ProxyWorker
  private readonly waiting = new Map<number, (message: Extract<FromWorker, { type: 'applied' }>) => void>()
  private generation = 0
  private readonly ports = new Map<string, number>()

  /** `metadata`: of its node. */
  constructor(drainTimeMs = 5000, metadata: Record<string, unknown> = {}) {
    this.worker = new ProxyWorker((message) => this.receive(message))
    this.worker.handle({
      type: 'init',
      init: {
        index: 0,
        concurrency: 1,
        node: { id: 'test', cluster: 'test', metadata, locality: { region: '', zone: '', subZone: '' } },
        endpointSlab: new EndpointSlab(64).buffer,
        processState: this.state.buffer,
        tokenBuckets: new TokenBuckets(64).buffer,
        drainTimeMs,
        logLevel: 'off',
      },
    })
  }

  private receive(message: FromWorker): void {
    if (message.type === 'applied') this.waiting.get(message.generation)?.(message)
    else if (message.type !== 'log' && message.type !== 'ready') this.stats.accept(0, message)
  }

  /** Makes resources live; gives what was refused. */
  apply(...resources: ResourceUpdate[]): Promise<ResourceError[]> {
    const generation = ++this.generation
    return new Promise((resolve) => {
      this.waiting.set(generation, ({ errors, listening }) => {
        for (const { listener, address } of listening) this.ports.set(listener, Number(address.split(':').pop()))
        resolve(errors)
      })
      this.worker.handle({ type: 'update', generation, resources })
    })
  }

  /** Replaces the values of the runtime. */
  setRuntime(values: RuntimeValues): void {
    this.worker.handle({ type: 'runtime', values })
  }

  /** The port a listener got. */
  port(listener: string): number {
    const port = this.ports.get(listener)
    if (port === undefined) throw new Error(`listener ${listener} is not open`)
    return port
  }

  drain(): void {
    this.worker.handle({ type: 'drain', listeners: 'all', inboundOnly: false })
  }

  close(): void {
    this.worker.handle({ type: 'stop' })
  }
}

/** A real HTTP server to send to. */
export class Upstream {
  readonly server: http.Server
  requests: { method: string; url: string; headers: http.IncomingHttpHeaders; body: string }[] = []

  constructor(
    answer: (request: http.IncomingMessage, response: http.ServerResponse, body: string) => void = (_q, response) =>
      response.end('hello'),
  ) {
    this.server = http.createServer((request, response) => {
      let body = ''
      request.setEncoding('latin1')
      request.on('data', (piece: string) => {
        body += piece
      })
      request.on('end', () => {
        this.requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
        answer(request, response, body)
      })
    })
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.server.listen(0, '127.0.0.1', () => resolve(this.port))
    })
  }

  get port(): number {
    const at = this.server.address()
    return at === null || typeof at === 'string' ? 0 : at.port
  }

  close(): Promise<void> {
    this.server.closeAllConnections()
    return new Promise((resolve) => this.server.close(() => resolve()))
  }
}

export interface Answer {
  status: number
  headers: http.IncomingHttpHeaders
  body: string
}

/** One request. */
export function ask(port: number, path = '/', options: http.RequestOptions & { body?: string } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
      let body = ''
      response.setEncoding('latin1')
      response.on('data', (piece: string) => {
        body += piece
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(options.body)
  })
}

/** Bytes on a connection of their own: everything that comes back until the peer closes or `enough` holds. */
export function raw(port: number, bytes: string, enough: (seen: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
    socket.setEncoding('latin1')
    socket.on('data', (piece: string) => {
      seen += piece
      if (enough(seen)) socket.destroy()
    })
    socket.on('close', () => resolve(seen))
    socket.on('error', (error) => (seen === '' ? reject(error) : resolve(seen)))
  })
}

export { until } from '@weft/service/testing/until'
