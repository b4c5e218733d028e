import { execFile } from 'node:child_process'
import { request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import { connect as http2Connect } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { connect, isIPv6, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

const port = z.int().min(1).max(65_535)

/** A question to the application, of one kind: as Kubernetes' probes, in their JSON. */
export const probeSchema = z
  .looseObject({
    httpGet: z
      .looseObject({
        port,
        path: z.string().default('/'),
        scheme: z.enum(['HTTP', 'HTTPS', '']).default('HTTP'),
        host: z.string().optional(),
        httpHeaders: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
      })
      .optional(),
    tcpSocket: z.looseObject({ port, host: z.string().optional() }).optional(),
    grpc: z.looseObject({ port, service: z.string().default('') }).optional(),
    exec: z.looseObject({ command: z.array(z.string()).min(1) }).optional(),
    timeoutSeconds: z.int().optional(),
  })
  .refine(
    ({ httpGet, tcpSocket, grpc, exec }) => [httpGet, tcpSocket, grpc, exec].filter((kind) => kind !== undefined).length === 1,
    'must be an HTTP, TCP or gRPC probe with a port, or a command',
  )
export type Probe = z.infer<typeof probeSchema>

export interface ProbeAnswer {
  status: number
  body: string
}

const mostBodyBytes = 10 << 10
const mostRedirects = 10

/** Connections from here are let through by the packet filter: the proxy's own to the pod's address would go round to it. */
const passthroughAddress = (host: string): string | undefined =>
  isIPv6(host) ? '::6' : host === 'localhost' ? undefined : '127.0.0.6'

/** Asks the application at `host`; no answer within `timeoutSeconds` (1 where none is stated) and any other failure is status 500. */
export async function askApplication(probe: Probe, host: string, headers: IncomingHttpHeaders = {}): Promise<ProbeAnswer> {
  const timeoutMs = (probe.timeoutSeconds || 1) * 1_000
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    if (probe.httpGet !== undefined) return await askHttp(probe.httpGet, host, headers, signal)
    if (probe.grpc !== undefined) return await askGrpc(probe.grpc, host, signal)
    if (probe.exec !== undefined) await runCommand(probe.exec.command, signal)
    else await askTcp(probe.tcpSocket ?? { port: 0 }, host, signal)
    return { status: 200, body: '' }
  } catch (thrown) {
    const why = signal.aborted ? `no answer within ${timeoutMs} ms` : WeftError.from(thrown).message
    return { status: 500, body: `the application did not answer: ${why}\n` }
  }
}

async function runCommand([program = '', ...args]: readonly string[], signal: AbortSignal): Promise<void> {
  await promisify(execFile)(program, args, { signal, maxBuffer: 1 << 20 })
}

async function askHttp(
  probe: NonNullable<Probe['httpGet']>,
  otherwise: string,
  headers: IncomingHttpHeaders,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const host = probe.host || otherwise
  const { host: _, connection: __, ...passed } = headers
  const own = Object.fromEntries(probe.httpHeaders.map(({ name, value }) => [name.toLowerCase(), value]))
  const scheme = (probe.scheme || 'HTTP').toLowerCase()
  let url = new URL(`${scheme}://${isIPv6(host) ? `[${host}]` : host}:${probe.port}`)
  const [path = '/', query = ''] = probe.path.split(/\?(.*)/s)
  url.pathname = path
  url.search = query
  for (let redirects = 0; ; redirects++) {
    const answer = await get(url, { ...passed, connection: 'close', ...own }, signal)
    const next = answer.location === undefined ? undefined : URL.parse(answer.location, url.href)
    // As the kubelet: elsewhere is not followed, and counts as an answer.
    if (answer.status < 300 || answer.status >= 400 || next?.hostname !== url.hostname) return answer
    if (redirects === mostRedirects) throw new Error(`more than ${mostRedirects} redirects`)
    url = next
  }
}

async function askTcp(
  { port: to, host }: { port: number; host?: string | undefined },
  otherwise: string,
  signal: AbortSignal,
): Promise<void> {
  const socket = await dial(host || otherwise, to, signal)
  socket.destroy()
}

/** grpc.health.v1.Health/Check, by hand: gRPC's library can't say from which address it connects. */
async function askGrpc(
  { port: to, service }: { port: number; service: string },
  host: string,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const socket = await dial(host, to, signal)
  const session = http2Connect(`http://${isIPv6(host) ? `[${host}]` : host}:${to}`, { createConnection: () => socket })
  try {
    return await new Promise<ProbeAnswer>((resolve, reject) => {
      const stream = session.request(
        {
          ':method': 'POST',
          ':path': '/grpc.health.v1.Health/Check',
          'content-type': 'application/grpc',
          te: 'trailers',
        },
        { signal },
      )
      const chunks: Buffer[] = []
      let status: string | undefined
      let bytes = 0
      const note = (headers: Record<string, unknown>): void => {
        if (typeof headers['grpc-status'] === 'string') status = headers['grpc-status']
      }
      session.on('error', reject)
      stream.on('error', reject).on('response', note).on('trailers', note)
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= mostBodyBytes) chunks.push(chunk)
      })
      stream.on('end', () => {
        // HealthCheckResponse.status (field 1) is SERVING (1).
        const serving = Buffer.concat(chunks).subarray(5).equals(Buffer.of(0x08, 0x01))
        if (status === '0' && serving) resolve({ status: 200, body: '' })
        else resolve({ status: 500, body: `grpc-status ${status ?? 'missing'}, ${serving ? '' : 'not '}serving\n` })
      })
      stream.end(healthCheckRequest(service))
    })
  } finally {
    session.destroy()
  }
}

function healthCheckRequest(service: string): Buffer {
  const name = Buffer.from(service).subarray(0, 127)
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.of(0x0a, name.length), name])
  return Buffer.concat([Buffer.of(0, 0, 0, 0, message.length), message])
}

function dial(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const localAddress = passthroughAddress(host)
    const socket = connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) })
    const abort = (): void => void socket.destroy(new Error('aborted'))
    signal.addEventListener('abort', abort, { once: true })
    socket.once('error', reject)
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort)
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

function get(
  url: URL,
  headers: OutgoingHttpHeaders,
  signal: AbortSignal,
): Promise<ProbeAnswer & { location: string | undefined }> {
  return new Promise((resolve, reject) => {
    const localAddress = passthroughAddress(url.hostname.replace(/^\[|\]$/g, ''))
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    // Like the kubelet, which verifies no certificate either.
    const tls = url.protocol === 'https:' ? { rejectUnauthorized: false } : {}
    const options = { headers, signal, agent: false, ...tls, ...(localAddress === undefined ? {} : { localAddress }) }
    const sent = send(url, options, (response) => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        if (bytes < mostBodyBytes) chunks.push(chunk.subarray(0, mostBodyBytes - bytes))
        bytes += chunk.length
        // The rest says no more than the status.
        if (bytes >= mostBodyBytes) response.destroy()
      })
      response.on('error', reject)
      response.on('close', () => {
        const { statusCode = 500, headers: answered } = response
        resolve({ status: statusCode, body: Buffer.concat(chunks).toString(), location: answered.location })
      })
    })
    sent.on('error', reject)
    sent.end()
  })
}
