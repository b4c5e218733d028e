import type { Agent } from 'node:http'
import { WeftError } from '@weft/service/errors'
import type { ClusterHandle, WorkerServices } from '../worker-services.ts'

export interface HttpAnswer {
  status: number
  /** Names and values in turn, as they came. */
  rawHeaders: readonly string[]
  body: Buffer
  /** From the call to the end of the answer's head. */
  headMs: number
}

export interface HttpCallOptions {
  timeoutMs: number
  /** The `host` header, and the request target, where they are not those of the URI. */
  host?: string
  path?: string
  signal?: AbortSignal
  /** A longer body is an error. */
  maxBytes: number
  method?: string
  headers?: Readonly<Record<string, string | string[]>>
  body?: Uint8Array
}

/**
 * A small HTTP/1.1 call to a cluster, for what is not on the path of a request's bytes: key sets, authorization services.
 * Host and path are those of `uri`; the endpoint is the load balancer's choice. Rejects with a WeftError when there is no
 * endpoint, on time-out, and when the connection fails.
 */
export async function httpCall(
  services: Pick<WorkerServices, 'cluster'>,
  clusterName: string,
  uri: string,
  options: HttpCallOptions,
): Promise<HttpAnswer> {
  const cluster = services.cluster(clusterName)
  if (cluster === undefined) throw new WeftError('unavailable', `there is no cluster '${clusterName}'`)
  const endpoint = cluster.pickAddress()
  if (endpoint === null) throw new WeftError('unavailable', `cluster '${clusterName}' has no healthy endpoint`)
  const tls = cluster.tlsOptions(endpoint.key)
  if (tls === 'not-ready') throw new WeftError('unavailable', `the secrets of cluster '${clusterName}' have not come yet`)
  const url = new URL(uri.includes('://') ? uri : `http://${clusterName}${uri}`)
  const startedMs = performance.now()
  const call = cluster.beginRequest(endpoint.key)
  let outcome: 'success' | 'error' | 'timeout' = 'error'
  let status = 200
  try {
    const answer = await new Promise<HttpAnswer>((resolve, reject) => {
      const fail = (message: string): void => reject(new WeftError('unavailable', `${clusterName}: ${message}`))
      const path = options.path ?? url.pathname + url.search
      const request = (tls === null ? process.getBuiltinModule('node:http') : process.getBuiltinModule('node:https')).request(
        {
          ...(tls ?? {}),
          ...(endpoint.port === 0 ? { socketPath: endpoint.host } : { host: endpoint.host, port: endpoint.port }),
          path,
          method: options.method ?? 'GET',
          agent: tls === null ? agentOf(cluster) : false,
          setDefaultHeaders: false,
          ...(options.signal === undefined ? {} : { signal: options.signal }),
          headers: {
            host: options.host ?? url.host,
            ...options.headers,
            ...(options.body === undefined ? {} : { 'content-length': String(options.body.length) }),
            'x-envoy-internal': 'true',
            'x-envoy-expected-rq-timeout-ms': String(options.timeoutMs),
          },
        },
        (response) => {
          const headMs = performance.now() - startedMs
          if (options.method === 'HEAD') {
            // Behind its head nothing belongs to it, whatever comes.
            resolve({ status: response.statusCode ?? 0, rawHeaders: response.rawHeaders, body: Buffer.alloc(0), headMs })
            response.on('error', () => {})
            response.resume()
            return
          }
          const chunks: Buffer[] = []
          let size = 0
          response.on('data', (chunk: Buffer) => {
            size += chunk.length
            if (size > options.maxBytes) request.destroy(new Error(`the answer is longer than ${options.maxBytes} bytes`))
            else chunks.push(chunk)
          })
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              rawHeaders: response.rawHeaders,
              body: Buffer.concat(chunks),
              headMs,
            }),
          )
          response.on('error', (error) => fail(error.message))
        },
      )
      // Node would have it in capitals.
      if (options.method !== undefined) request.method = options.method
      const timer = setTimeout(() => {
        outcome = 'timeout'
        request.destroy(new Error(`no answer within ${options.timeoutMs} ms`))
      }, options.timeoutMs)
      request.on('close', () => clearTimeout(timer))
      request.on('socket', (socket) => {
        if (request.reusedSocket) call.sent()
        else call.connecting(socket)
      })
      request.on('information', ({ statusCode }) => call.interim(statusCode))
      request.on('error', (error) => fail(error.message))
      request.end(options.body)
    })
    outcome = 'success'
    status = answer.status
    return answer
  } finally {
    call.end(outcome, status)
  }
}

const agents = new WeakMap<ClusterHandle, Agent>()

/** A cluster's connections without TLS are kept for its next call. */
function agentOf(cluster: ClusterHandle): Agent {
  let agent = agents.get(cluster)
  if (agent === undefined) {
    agent = new (process.getBuiltinModule('node:http').Agent)({ keepAlive: true, maxFreeSockets: 16, timeout: 60_000 })
    agents.set(cluster, agent)
  }
  return agent
}

/** `httpCall` with GET. */
export function httpGet(
  services: WorkerServices,
  clusterName: string,
  uri: string,
  options: Pick<HttpCallOptions, 'timeoutMs' | 'maxBytes' | 'headers'>,
): Promise<HttpAnswer> {
  return httpCall(services, clusterName, uri, options)
}
