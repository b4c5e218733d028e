import { execFile, spawnSync } from 'node:child_process'
import http2 from 'node:http2'
import net from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { headerName } from '../header-table.ts'
import { RequestHead, ResponseHead } from '../message.ts'
import { Http2ClientConnection } from './client-connection.ts'
import { defaultHttp2Options } from './options.ts'
import { TestServer } from './testing/server.ts'
import { SocketSink } from './testing/socket-sink.ts'

const run = promisify(execFile)
const has = (command: string): boolean => spawnSync(command, ['--version']).status === 0

const server = new TestServer(undefined, { maxConcurrentStreams: 100 })
let port = 0
beforeAll(async () => {
  port = await server.listen()
})
afterAll(() => server.close())

function ask(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body?: Buffer,
): Promise<{ status: number; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers)
    const pieces: Buffer[] = []
    let status = 0
    stream.on('response', (head) => {
      status = head[':status'] ?? 0
    })
    stream.on('data', (piece: Buffer) => pieces.push(piece))
    stream.on('end', () => resolve({ status, body: Buffer.concat(pieces) }))
    stream.on('error', reject)
    stream.end(body)
  })
}

describe('the server with real clients', () => {
  it("serves node:http2's requests side by side, large bodies both ways", async () => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    try {
      const large = Buffer.alloc(3_000_000, 'abc')
      const answers = await Promise.all([
        ...Array.from({ length: 50 }, (_, i) => ask(session, { ':path': `/${i}`, 'x-long': 'v'.repeat(200 + i) })),
        ask(session, { ':method': 'POST', ':path': '/post' }, large),
        ask(session, { ':path': '/size/4000000' }),
        ask(session, { ':method': 'HEAD', ':path': '/head' }),
      ])
      for (let i = 0; i < 50; i++) expect(answers[i]?.body.toString()).toBe(`GET /${i}\n`)
      expect(answers[50]?.body.equals(Buffer.concat([Buffer.from('POST /post\n'), large]))).toBe(true)
      expect(answers[51]?.body.length).toBe(4_000_000)
      expect(answers[52]).toEqual({ status: 200, body: Buffer.alloc(0) })
      const headers = await ask(session, { ':path': '/', 'x-large': 'x'.repeat(59_000) })
      expect(headers.status).toBe(200)
    } finally {
      session.destroy()
    }
  })

  it('tells a drained client, which ends without an error', async () => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    await ask(session, { ':path': '/' })
    const gone = new Promise<void>((resolve) => session.on('close', () => resolve()))
    for (const connection of server.connections) connection.drain()
    await gone
    expect(session.destroyed).toBe(true)
  })

  it.skipIf(!has('nghttp'))('serves nghttp', async () => {
    const { stdout } = await run('nghttp', ['-v', '--padding=20', `http://127.0.0.1:${port}/nghttp`])
    expect(stdout).toContain('GET /nghttp')
  })

  it.skipIf(!has('h2load'))('serves h2load without a failure', async () => {
    const { stdout } = await run('h2load', ['-n', '2000', '-c', '4', '-m', '20', `http://127.0.0.1:${port}/size/20000`])
    expect(stdout).toContain('2000 succeeded, 0 failed, 0 errored')
  })
})

describe('the client with a real server', () => {
  it("gets node:http2's answers over one connection, with bodies, trailers and back-pressure", async () => {
    const peer = http2.createServer({ settings: { maxConcurrentStreams: 50, initialWindowSize: 1000 } })
    peer.on('stream', (stream, headers) => {
      const pieces: Buffer[] = []
      stream.on('data', (piece: Buffer) => pieces.push(piece))
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'x-path': headers[':path'] }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': String(Buffer.concat(pieces).length) }))
        stream.end(Buffer.concat(pieces))
      })
    })
    await new Promise<void>((resolve) => peer.listen(0, '127.0.0.1', resolve))
    const address = peer.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const socket = net.connect(address.port, '127.0.0.1')
    const sink = new SocketSink(socket)
    const connection = new Http2ClientConnection(sink, defaultHttp2Options, {
      room: () => {},
      goaway: () => {},
      closeAfterWrite: () => socket.end(),
      failed: () => {},
      noted: () => {},
    })
    socket.on('data', (bytes) => connection.receive(bytes, 0, bytes.length))
    socket.on('drain', () => connection.writable())
    connection.start()
    const body = Buffer.alloc(100_000, 'xyz')
    const exchange = (i: number) =>
      new Promise<string>((resolve, reject) => {
        const response = new ResponseHead()
        let size = 0
        let at = 0
        const stream = connection.begin({
          response,
          onInterim: () => {},
          onResponseHead: () => {},
          onResponseData: (_buffer, start, end, last) => {
            size += end - start
            if (last) reject(new Error('no trailers'))
            // A reader that stops after each piece loses nothing.
            stream.pauseResponse()
            setImmediate(() => stream.resumeResponse())
          },
          onResponseTrailers: (trailers) => resolve(`${response.status} ${size} ${trailers.get(headerName('x-sum'))}`),
          onResponseReset: (reason, detail) => reject(new Error(`${reason}: ${detail}`)),
          onRequestWritable: () => send(),
        })
        const request = new RequestHead()
        request.method = 'POST'
        request.path = `/${i}`
        request.authority = 'localhost'
        stream.sendHead(request, false)
        const send = (): void => {
          while (at < body.length) {
            const to = Math.min(body.length, at + 30_000)
            const more = stream.sendData(body, at, to, to === body.length)
            at = to
            if (!more) return
          }
        }
        send()
      })
    try {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => exchange(i)))
      expect(new Set(answers)).toEqual(new Set(['200 100000 100000']))
    } finally {
      socket.destroy()
      peer.close()
    }
  })
})
