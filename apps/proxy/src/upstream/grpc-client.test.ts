import { once } from 'node:events'
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, createServer as createNetServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ProcessState } from '../shared/process-state.ts'
import { TokenBuckets } from '../shared/token-buckets.ts'
import { TimerWheel } from '../transport/timer-wheel.ts'
import type { ClusterHandle, WorkerServices } from '../worker-services.ts'
import { GrpcClient, type UnaryMethod } from './grpc-client.ts'

const echo: UnaryMethod<string, string> = {
  path: '/test.Echo/Say',
  encode: (text) => Buffer.from(text),
  decode: (bytes) => Buffer.from(bytes).toString(),
}

type Behaviour = (stream: ServerHttp2Stream, body: Buffer) => void

async function startServer(behave: Behaviour): Promise<{ port: number; server: Http2Server; sessions: () => number }> {
  const server = createServer()
  let sessions = 0
  const open = new Set<{ destroy(): void }>()
  server.on('session', (session) => {
    sessions++
    open.add(session)
    session.on('error', () => {})
  })
  server.on('stream', (stream) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', () => {})
    stream.on('end', () => behave(stream, Buffer.concat(chunks)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const session of open) session.destroy()
    server.close()
  })
  return { port: portOf(server.address()), server, sessions: () => sessions }
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('not listening')
  return address.port
}

function answer(stream: ServerHttp2Stream, body: Buffer, status = '0', message = ''): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': message }))
  stream.end(body)
}

function clientTo(
  ports: number[] | null,
  options = {},
): { client: GrpcClient; outcomes: string[]; cluster: { ports: number[] } } {
  const outcomes: string[] = []
  const state = { ports: ports ?? [] }
  let turn = 0
  const handle: ClusterHandle = {
    name: 'mixer',
    connectTimeoutMs: 1000,
    pickAddress() {
      const port = state.ports[turn++ % Math.max(1, state.ports.length)]
      return port === undefined ? null : { host: '127.0.0.1', port, key: `127.0.0.1:${port}` }
    },
    httpVersion: () => 20,
    membership: () => ({ total: 1, healthy: 1, degraded: 0 }),
    tlsOptions: () => null,
    beginRequest: () => ({ connecting: () => {}, sent: () => {}, interim: () => {}, end: (outcome) => outcomes.push(outcome) }),
  }
  const timers = new TimerWheel()
  const services: WorkerServices = {
    node: { id: '', cluster: '', metadata: {}, locality: { region: '', zone: '', subZone: '' } },
    timers,
    processState: new ProcessState(),
    tokenBuckets: new TokenBuckets(8),
    cluster: (name) => (ports !== null && name === 'mixer' ? handle : undefined),
    log: () => {},
  }
  const client = new GrpcClient(services, 'mixer', options)
  onTestFinished(() => {
    client.close()
    timers.close()
  })
  return { client, outcomes, cluster: state }
}

describe('a gRPC client of a cluster', () => {
  it('sends calls over one connection and counts them', async () => {
    const server = await startServer((stream, body) => answer(stream, body))
    const { client, outcomes } = clientTo([server.port])
    const answers = await Promise.all(['a', 'b', 'c'].map((text) => client.unary(echo, text, { deadlineMs: 5000 })))
    expect(answers).toEqual(['a', 'b', 'c'])
    expect(server.sessions()).toBe(1)
    expect(outcomes).toEqual(['success', 'success', 'success'])
  })

  it('gives the server’s status as an error', async () => {
    const server = await startServer((stream) => answer(stream, Buffer.alloc(0), '7', 'not%20you'))
    const { client, outcomes } = clientTo([server.port])
    await expect(client.unary(echo, 'x', { deadlineMs: 5000 })).rejects.toMatchObject({
      code: 'permission_denied',
      message: expect.stringContaining('PERMISSION_DENIED: not you'),
    })
    expect(outcomes).toEqual(['error'])
  })

  it('ends by its deadline, and gives up a connection that never answers', async () => {
    const server = await startServer(() => {})
    const { client, outcomes } = clientTo([server.port])
    const late = () => expect(client.unary(echo, 'x', { deadlineMs: 30 })).rejects.toMatchObject({ code: 'deadline_exceeded' })
    for (let i = 0; i < 3; i++) await late()
    expect(server.sessions()).toBe(1)
    await late()
    expect(server.sessions()).toBe(2)
    expect(outcomes).toEqual(['timeout', 'timeout', 'timeout', 'timeout'])
  })

  it('says why nothing can be called', async () => {
    const call = (ports: number[] | null) => expect(clientTo(ports).client.unary(echo, 'x', { deadlineMs: 1000 })).rejects
    await call(null).toThrow('no such cluster')
    await call([]).toThrow('no healthy endpoint')
    const probe = createNetServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const port = portOf(probe.address())
    probe.close()
    await once(probe, 'close')
    await call([port]).toMatchObject({ code: 'unavailable' })
  })

  it('reconnects when the server went away, and follows the endpoints', async () => {
    const first = await startServer((stream) => answer(stream, frameOf('first')))
    const second = await startServer((stream) => answer(stream, frameOf('second')))
    const { client, cluster } = clientTo([first.port])
    expect(await client.unary(echo, 'x', { deadlineMs: 5000 })).toBe('first')
    cluster.ports = [second.port]
    expect(await client.unary(echo, 'x', { deadlineMs: 5000 })).toBe('second')
  })

  it('refuses calls beyond its bound, and answers longer than its bound', async () => {
    const server = await startServer((stream) => answer(stream, frameOf('x'.repeat(1000))))
    const { client } = clientTo([server.port], { maxInFlight: 1, maxMessageBytes: 100 })
    await Promise.all([
      expect(client.unary(echo, 'x', { deadlineMs: 5000 })).rejects.toThrow('longer than 100 bytes'),
      expect(client.unary(echo, 'y', { deadlineMs: 5000 })).rejects.toThrow('1 calls to cluster'),
    ])
  })

  it('takes no answer that is cut or compressed', async () => {
    const cut = await startServer((stream) => answer(stream, frameOf('hello').subarray(0, 7)))
    await expect(clientTo([cut.port]).client.unary(echo, 'x', { deadlineMs: 5000 })).rejects.toThrow('cannot be read')
    const compressed = await startServer((stream) => answer(stream, Buffer.from([1, 0, 0, 0, 0])))
    await expect(clientTo([compressed.port]).client.unary(echo, 'x', { deadlineMs: 5000 })).rejects.toThrow('compressed')
  })

  it('is cancelled by its signal', async () => {
    const server = await startServer(() => {})
    const { client, outcomes } = clientTo([server.port])
    const abort = new AbortController()
    const call = client.unary(echo, 'x', { deadlineMs: 5000, signal: abort.signal })
    abort.abort()
    await expect(call).rejects.toMatchObject({ code: 'cancelled' })
    expect(outcomes.every((outcome) => outcome === 'cancelled')).toBe(true)
  })
})

function frameOf(text: string): Buffer {
  const body = Buffer.from(text)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}
