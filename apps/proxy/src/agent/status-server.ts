import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { WeftError } from '@weft/service/errors'
import { mergedMetrics } from './metrics.ts'
import type { AppProbes } from './probes.ts'

export interface StatusServerOptions {
  /** All serve the same; 0 takes a free one. */
  ports: readonly number[]
  /** `http://127.0.0.1:15000`: the proxy's admin server. */
  admin: string
  probes: AppProbes
  /** URLs of the application's metrics. */
  applicationMetrics: readonly string[]
}

export interface StatusServer {
  /** In the order they were asked for. */
  ports: number[]
  close(): Promise<void>
}

/**
 * What the kubelet, Prometheus and the pod's containers ask of an injected proxy: `/healthz/ready`, `/app-health/…`,
 * `/app-lifecycle/…`, `/stats/prometheus` with the application's metrics, and, from the pod alone, POST `/drain` and
 * `/quitquitquit`.
 */
export async function startStatusServer(options: StatusServerOptions): Promise<StatusServer> {
  const servers: Server[] = []
  const close = async (): Promise<void> => {
    for (const server of servers) server.closeAllConnections()
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
  try {
    const ports: number[] = []
    for (const port of options.ports) {
      const server = createServer({ headersTimeout: 10_000, requestTimeout: 60_000 }, (request, response) => {
        void answer(request, response, options).catch((thrown: unknown) => send(response, 500, WeftError.from(thrown).message))
      })
      servers.push(server)
      ports.push(await listen(server, port))
    }
    return { ports, close }
  } catch (thrown) {
    await close()
    throw thrown
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new WeftError('unavailable', `the status server cannot listen on port ${port}: ${cause.message}`, {
          hint: 'another process of the pod has it; the port is statusPort of the proxy configuration',
          cause,
        }),
      ),
    )
    server.listen(port, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

async function answer(request: IncomingMessage, response: ServerResponse, options: StatusServerOptions): Promise<void> {
  const { admin, probes, applicationMetrics } = options
  const { pathname, search } = new URL(request.url ?? '/', 'http://agent')
  request.resume()
  if (pathname === '/healthz/ready') {
    const ready = await fetch(`${admin}/ready`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined)
    const body = (await ready?.text())?.trim() ?? 'the proxy does not answer'
    return send(response, ready?.ok === true ? 200 : 503, body)
  }
  if (pathname === '/stats/prometheus' || pathname === '/metrics') {
    const urls = [`${admin}/stats/prometheus${search}`, ...applicationMetrics]
    const text = await mergedMetrics(urls, request.headers.accept)
    return send(response, 200, text, 'text/plain; version=0.0.4; charset=utf-8')
  }
  if (pathname === '/drain' || pathname === '/quitquitquit') return control(request, response, admin, pathname)
  const probed = await probes.ask(pathname, request.headers)
  if (probed !== undefined) return send(response, probed.status, probed.body)
  return send(response, 404, 'there is nothing here')
}

/** What ends connections or the proxy is for the pod itself to say. */
async function control(request: IncomingMessage, response: ServerResponse, admin: string, path: string): Promise<void> {
  const from = request.socket.remoteAddress ?? ''
  if (!/^(::ffff:)?127\.|^::1$/.test(from)) return send(response, 403, 'only the pod itself may ask for this')
  if (request.method !== 'POST') return send(response, 405, 'ask with POST')
  const target = path === '/drain' ? '/drain_listeners?inboundonly&graceful&skip_exit' : '/quitquitquit'
  const done = await fetch(`${admin}${target}`, { method: 'POST', signal: AbortSignal.timeout(5_000) })
  return send(response, done.ok ? 200 : 502, await done.text())
}

function send(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  if (response.headersSent) return
  response.writeHead(status, { 'content-type': type }).end(body.endsWith('\n') || body === '' ? body : `${body}\n`)
}
