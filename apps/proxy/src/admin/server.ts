import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import { WeftError } from '@weft/service/errors'
import type { Control } from '../control/control.ts'
import { HcmStats } from '../filters/network/http-connection-manager/hcm-stats.ts'
import { compileStringMatcher } from '../routing/matchers/string-matcher.ts'
import type { AdminContext, AdminReply } from './endpoint.ts'
import { endpoints, helpText } from './index.ts'
import { StatView } from './stat-view.ts'

// Not by `import`, which would load undici too: see libs/http/src/h1/encode.ts.
const { createServer } = process.getBuiltinModule('node:http')

/** The largest body of a POST. */
const mostBodyBytes = 1 << 20

/**
 * The admin server. It is `node:http` and a table: its pages are few and plain, and a sidecar's start should not pay for a
 * framework.
 */
export async function startAdmin(
  address: Address,
  control: Control,
  quit: () => void,
): Promise<{ url: string; close(): Promise<void> }> {
  const stats = new StatView(control)
  const allowed = control.settings.adminAllowPaths.map((one, i) => compileStringMatcher(one, `admin.allow_paths[${i}]`))
  const mayAsk = (path: string) => allowed.length === 0 || allowed.some((matches) => matches(path))
  const context: AdminContext = { control, stats, quit }
  // It counts its requests as any other connection manager does.
  const counts = new HcmStats(control.stats, 'http.admin.', 'listener.admin.')
  const server = createServer(
    { keepAliveTimeout: 5_000, headersTimeout: 10_000, requestTimeout: 30_000 },
    (request, response) => {
      const began = performance.now()
      counts.requestActive.inc()
      response.once('close', () => {
        counts.requestActive.dec()
        counts.requestTime.record(performance.now() - began)
      })
      answer(context, request, counts, mayAsk)
        .catch((thrown: unknown): AdminReply => {
          const error = WeftError.from(thrown)
          control.log.of('admin').error(`${request.method} ${request.url}: ${error.describe()}`)
          return { status: 500, body: `${error.describe()}\n` }
        })
        .then((reply) => {
          counts.response(reply.status ?? 200)
          send(response, request, reply)
        })
    },
  )
  server.maxConnections = 256
  server.on('connection', (socket) => {
    const began = performance.now()
    let remote = false
    counts.connectionTotal.inc()
    counts.connectionHttp1Total.inc()
    counts.connectionActive.inc()
    counts.connectionHttp1Active.inc()
    socket.once('end', () => {
      remote = !socket.writableEnded
    })
    socket.once('close', () => {
      counts.connectionDestroy.inc()
      if (remote) counts.destroyRemote.inc()
      else counts.destroyLocal.inc()
      counts.connectionActive.dec()
      counts.connectionHttp1Active.dec()
      counts.connectionLength.record(performance.now() - began)
    })
  })
  const target = listenTarget(address)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const place = 'path' in target ? target.path : `${target.host}:${target.port}`
      reject(
        new WeftError('unavailable', `admin server cannot listen on ${place}: ${error.message}`, {
          where: { path: 'admin.address' },
          hint: 'choose another address or end what listens there',
          cause: error,
        }),
      )
    })
    server.listen(target, resolve)
  })
  return {
    url: urlOf(server.address()),
    close: () =>
      new Promise((resolve) => {
        stats.close()
        server.close(() => resolve())
        server.closeIdleConnections()
        setTimeout(() => server.closeAllConnections(), 250).unref()
      }),
  }
}

async function answer(
  context: AdminContext,
  request: IncomingMessage,
  counts: HcmStats,
  mayAsk: (path: string) => boolean,
): Promise<AdminReply> {
  counts.requestTotal.inc()
  counts.requestHttp1Total.inc()
  const asked = request.url ?? '/'
  if (!mayAsk(asked)) return { status: 403, body: `request to path ${asked} not allowed` }
  // A path that begins with two slashes would be taken for a host's name.
  const url = new URL(asked.replace(/^\/+/, '/'), 'http://admin')
  const method = request.method ?? 'GET'
  const endpoint = endpoints.find(({ path }) => path === url.pathname)
  if (endpoint === undefined) return { status: 404, body: `invalid path. ${helpText()}` }
  if (endpoint.post === true && method !== 'POST') return { status: 405, body: `Method ${method} not allowed, POST required.` }
  const text = await readBody(request)
  const body = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true ? text : ''
  return endpoint.handle(context, { method, query: url.searchParams, body })
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue
    bytes += chunk.length
    if (bytes > mostBodyBytes) throw new WeftError('resource_exhausted', `a body may have ${mostBodyBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function send(response: ServerResponse, request: IncomingMessage, reply: AdminReply): void {
  const body = Buffer.from(typeof reply.body === 'string' ? reply.body : reply.body())
  // As Envoy writes heads: names in lower case, and a connection that goes on is not told of.
  if (response.shouldKeepAlive) response.removeHeader('connection')
  response.writeHead(reply.status ?? 200, {
    'content-type': reply.type ?? 'text/plain; charset=UTF-8',
    'cache-control': 'no-cache, max-age=0',
    'x-content-type-options': 'nosniff',
    'content-length': body.length,
    date: new Date().toUTCString(),
    server: 'envoy',
    ...(response.shouldKeepAlive ? {} : { connection: 'close' }),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function listenTarget(address: Address): { host: string; port: number } | { path: string } {
  if (address.address?.$case === 'pipe') return { path: address.address.value.path }
  const socket = address.address?.$case === 'socketAddress' ? address.address.value : undefined
  const port = socket?.portSpecifier?.$case === 'portValue' ? socket.portSpecifier.value : 0
  return { host: socket?.address || '0.0.0.0', port }
}

/** `127.0.0.1:9901`, as `--admin-address-path` writes it. */
function urlOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') return address ?? ''
  return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`
}
