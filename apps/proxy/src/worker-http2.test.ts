import { createHash } from 'node:crypto'
import http2 from 'node:http2'
import net from 'node:net'
import { HttpConnectionManager_CodecType as Codec } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster, connectionManager, httpOptions, listener, routeTo } from './testing/resources.ts'
import { proxyTo, upstream, worker } from './testing/test-proxy.ts'
import { ask, raw, until } from './testing/worker-harness.ts'

function connect(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  return session
}

interface Answer {
  headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader
  body: string
}

function request(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers)
    let headersSeen: Answer['headers'] = {}
    let text = ''
    stream.setEncoding('latin1')
    stream.on('response', (head) => {
      headersSeen = head
    })
    stream.on('data', (piece: string) => {
      text += piece
    })
    stream.on('end', () => resolve({ headers: headersSeen, body: text }))
    stream.on('error', reject)
    if (body === '') stream.end()
    else stream.end(body)
  })
}

const codecs = { AUTO: Codec.AUTO, HTTP2: Codec.HTTP2 }

describe('HTTP/2 from clients', () => {
  for (const [name, codecType] of Object.entries(codecs)) {
    it(`by prior knowledge reaches HTTP/1.1 endpoints, many requests at once (${name})`, async () => {
      const server = await upstream((asked, response, body) => {
        setTimeout(() => response.end(`${asked.method} ${asked.url} ${body}`), Number(asked.headers['x-delay'] ?? 0))
      })
      const proxy = worker()
      const errors = await proxy.apply(
        cluster('c', [server.port]),
        listener('in', [{ filters: [connectionManager([routeTo('c')], { codecType })] }]),
      )
      expect(errors).toEqual([])
      const session = connect(proxy.port('in'))
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          request(
            session,
            { ':method': 'POST', ':path': `/${i}`, 'x-delay': String((i % 4) * 5), cookie: ['a=b', 'c=d'] },
            'body',
          ),
        ),
      )
      answers.forEach((answer, i) => {
        expect(answer.headers[':status']).toBe(200)
        expect(answer.headers.server).toBe('envoy')
        expect(answer.body).toBe(`POST /${i} body`)
      })
      expect(server.requests[0]?.headers).toMatchObject({ host: `127.0.0.1:${proxy.port('in')}`, cookie: 'a=b; c=d' })
      expect(server.requests[0]?.headers['transfer-encoding']).toBe('chunked')
      await until(() => proxy.stats.value('http.test.downstream_rq_http2_total') === 40, 'the requests are counted')
    })
  }

  it('and HTTP/1.1 share a port', async () => {
    const server = await upstream()
    const proxy = await proxyTo(server.port)
    expect((await request(connect(proxy.port('in')), { ':path': '/' })).body).toBe('hello')
    expect((await ask(proxy.port('in'))).body).toBe('hello')
    // A first byte that could be either's.
    const slow = await raw(proxy.port('in'), 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    expect(slow).toMatch(/^HTTP\/1.1 200/)
  })

  it('large bodies go both ways, and a client that does not read holds up nobody else', async () => {
    const large = 'x'.repeat(3_000_000)
    const server = await upstream((asked, response, body) => response.end(asked.url === '/echo' ? body : large))
    const proxy = await proxyTo(server.port)
    const session = connect(proxy.port('in'))
    const stuck = session.request({ ':path': '/stuck' })
    stuck.pause()
    expect((await request(session, { ':method': 'POST', ':path': '/echo' }, large)).body).toHaveLength(large.length)
    expect((await request(session, { ':path': '/large' })).body).toHaveLength(large.length)
    stuck.close()
  })

  it('what the proxy answers itself is a gRPC status for gRPC', async () => {
    const proxy = worker()
    await proxy.apply(listener('in', [{ filters: [connectionManager([routeTo('nowhere')])] }]))
    const answer = await request(connect(proxy.port('in')), {
      ':method': 'POST',
      ':path': '/a.B/C',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    expect(answer.headers).toMatchObject({ ':status': 200, 'grpc-status': '14', 'content-type': 'application/grpc' })
  })

  it('a client that gives its request up has it given up upstream', async () => {
    let closed = 0
    const server = await upstream((asked, response) => {
      response.on('close', () => closed++)
      asked.resume()
    })
    const proxy = await proxyTo(server.port)
    const session = connect(proxy.port('in'))
    const stream = session.request({ ':path': '/' })
    await until(() => server.requests.length === 1, 'the request is there')
    stream.close(http2.constants.NGHTTP2_CANCEL)
    await until(() => closed === 1, 'upstream sees the end')
  })

  it('answers with the bytes of UTF-8 that the configuration has, gRPC in a message of percent codes', async () => {
    const proxy = worker()
    const route = {
      ...routeTo('c'),
      action: {
        $case: 'directResponse' as const,
        value: { status: 403, body: { specifier: { $case: 'inlineString' as const, value: 'non é' } } },
      },
      responseHeadersToAdd: [{ header: { key: 'x-word', value: 'é' } }],
    }
    await proxy.apply(cluster('c', [1]), listener('in', [{ filters: [connectionManager([route])] }]))
    const session = connect(proxy.port('in'))
    const plain = await request(session, { ':path': '/' })
    expect([plain.body, plain.headers['x-word']]).toEqual(['non \xc3\xa9', '\xc3\xa9'])
    const grpc = await request(session, { ':path': '/a/b', ':method': 'POST', 'content-type': 'application/grpc' })
    expect(grpc.headers).toMatchObject({ ':status': 200, 'grpc-status': '7', 'grpc-message': 'non %C3%A9' })
    const other = await request(session, { ':path': '/a/b', ':method': 'POST', 'content-type': 'application/grpc;a=b' })
    expect(other.headers[':status']).toBe(403)
  })

  it('answers all of many requests in few reads, in parts', async () => {
    const server = await upstream(() => {})
    const route = { ...routeTo('c'), action: { $case: 'directResponse' as const, value: { status: 204 } } }
    const proxy = await proxyTo(server.port, connectionManager([route]))
    // GET, http, / and an authority of x, again and again.
    const block = '\x82\x86\x84\x01\x01x'
    const count = 5000
    const requests = Array.from({ length: count }, (_, i) => {
      const id = i * 2 + 1
      return `\0\0${String.fromCharCode(block.length)}\x01\x05${String.fromCharCode(id >>> 24, (id >>> 16) & 255, (id >>> 8) & 255, id & 255)}${block}`
    })
    const asked = `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0${requests.join('')}`
    const answered = (): number => proxy.stats.value('http.test.downstream_rq_2xx') ?? 0
    await raw(proxy.port('in'), asked, () => answered() === count)
    expect(answered()).toBe(count)
  })

  it('serves a client that gives most requests up, and asks no endpoint for those', async () => {
    let asked = 0
    const server = await upstream((_asked, response) => {
      asked++
      response.end('x')
    })
    const proxy = await proxyTo(server.port)
    const ofStream = (i: number): string => `\0\0${String.fromCharCode((i * 2 + 1) >>> 8, (i * 2 + 1) & 255)}`
    // GET, http, / and an authority of x; and that it is cancelled.
    const get = (i: number): string => `\0\0\x06\x01\x05${ofStream(i)}\x82\x86\x84\x01\x01x`
    const cancel = (i: number): string => `\0\0\x04\x03\0${ofStream(i)}\0\0\0\x08`
    const givenUp = Array.from({ length: 200 }, (_, i) => get(i) + cancel(i)).join('')
    const bytes = `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0${givenUp}${get(200)}`
    await raw(proxy.port('in'), bytes, () => proxy.stats.value('http.test.downstream_rq_2xx') === 1)
    expect(proxy.stats.value('http2.rx_reset')).toBe(200)
    expect(proxy.stats.value('http.test.downstream_rq_total')).toBe(201)
    expect(proxy.stats.value('cluster.c.upstream_cx_total')).toBe(1)
    expect(asked).toBe(1)
    // One that does nothing else is turned away.
    const more = Array.from({ length: 250 }, (_, i) => get(i) + cancel(i)).join('')
    const answer = await raw(proxy.port('in'), `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0${more}`)
    expect(answer).toContain('\0\0\0\x0bpremature_resets')
    expect(proxy.stats.value('http.test.downstream_rq_too_many_premature_resets')).toBe(1)
    expect(asked).toBe(1)
  })

  it('keeps a client that cancels a third of its calls, and any number of answers it has seen enough of', async () => {
    const server = await upstream((asked, response) => {
      if (asked.url === '/watch') response.write('first')
      else if (asked.url === '/call') response.end('x')
    })
    const proxy = await proxyTo(server.port)
    const session = connect(proxy.port('in'))
    const cancelled = (path: string, isAnswered: boolean): Promise<void> =>
      new Promise((resolve) => {
        const stream = session.request({ ':path': path })
        const cancel = (): void => stream.close(http2.constants.NGHTTP2_CANCEL)
        stream.on('error', () => {})
        stream.on('close', resolve)
        stream.resume()
        if (isAnswered) stream.once('response', cancel)
        else setImmediate(cancel)
      })
    // As many as would be too many, were they all there is.
    for (let i = 0; i < 26; i++) {
      const calls = Array.from({ length: 20 }, () => request(session, { ':path': '/call' }))
      await Promise.all(Array.from({ length: 10 }, () => cancelled('/never', false)))
      expect((await Promise.all(calls)).map(({ body }) => body)).toEqual(calls.map(() => 'x'))
    }
    for (let i = 0; i < 26; i++) await Promise.all(Array.from({ length: 10 }, () => cancelled('/watch', true)))
    expect((await request(session, { ':path': '/call' })).body).toBe('x')
    expect(proxy.stats.value('http2.rx_reset')).toBe(520)
    expect(proxy.stats.value('http2.premature_resets')).toBe(0)
  })

  it('counts resets, open streams, GOAWAYs and floods under names of Envoy', async () => {
    const server = await upstream(() => {})
    const proxy = await proxyTo(server.port)
    const session = connect(proxy.port('in'))
    const stream = session.request({ ':path': '/' })
    stream.on('error', () => {})
    stream.end()
    await until(() => proxy.stats.value('http2.streams_active') === 1, 'the stream is counted')
    stream.close(http2.constants.NGHTTP2_CANCEL)
    await until(() => proxy.stats.value('http2.rx_reset') === 1, 'the reset is counted')
    expect(proxy.stats.value('http2.streams_active')).toBe(0)
    const priority = '\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\0'
    const flood = `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0${priority.repeat(200)}`
    // It ends with GOAWAY: ENHANCE_YOUR_CALM.
    expect(await raw(proxy.port('in'), flood)).toContain('\0\0\0\x0binbound_priority_frames_flood')
    expect(proxy.stats.value('http2.inbound_priority_frames_flood')).toBe(1)
    // As in Envoy, only the GOAWAYs of drains count.
    expect(proxy.stats.value('http2.goaway_sent')).toBe(0)
    expect(proxy.stats.value('http.test.downstream_cx_protocol_error')).toBe(0)
  })

  it('reads no more of a client that floods, which is told so, and can send nothing until its connection is closed', async () => {
    const proxy = worker()
    await proxy.apply(listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
    const socket = net.connect({ port: proxy.port('in'), host: '127.0.0.1' })
    onTestFinished(() => void socket.destroy())
    const heard: Buffer[] = []
    const closed = new Promise<Error | null>((resolve) => {
      let failure: Error | null = null
      socket.on('error', (error) => {
        failure = error
      })
      socket.on('close', () => resolve(failure))
    })
    const said = (): string => Buffer.concat(heard).toString('latin1')
    socket.on('data', (bytes) => heard.push(bytes))
    const priority = '\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\0'
    socket.write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0${priority.repeat(200)}`, 'latin1')
    await until(() => said().includes('\0\0\0\x0binbound_priority_frames_flood'), 'the client is told')
    const more = 32 * 2 ** 20
    socket.end(Buffer.alloc(more))
    expect(await closed).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) })
    expect(proxy.stats.value('http.test.downstream_cx_rx_bytes_total')).toBeLessThan(more / 16)
  })

  it('a drain ends connections without losing a request', async () => {
    const server = await upstream((_asked, response) => setTimeout(() => response.end('late'), 50))
    const proxy = await proxyTo(server.port)
    const session = connect(proxy.port('in'))
    const gone = new Promise<void>((resolve) => session.on('close', () => resolve()))
    const under = Promise.all(Array.from({ length: 10 }, () => request(session, { ':path': '/' })))
    await until(() => server.requests.length === 10, 'all are under way')
    proxy.drain()
    expect((await under).map(({ body }) => body)).toEqual(Array.from({ length: 10 }, () => 'late'))
    await gone
  })
})

/** A real HTTP/2 server; answers with what it was sent, and trailers. */
async function http2Upstream(
  answer: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, body: string) => void,
  settings: http2.Settings = {},
): Promise<{ port: number; sessions: Set<http2.ServerHttp2Session>; close(): Promise<void> }> {
  const server = http2.createServer({ settings })
  const sessions = new Set<http2.ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
    session.on('error', () => {})
  })
  server.on('stream', (stream, headers) => {
    let body = ''
    stream.setEncoding('latin1')
    stream.on('data', (piece: string) => {
      body += piece
    })
    stream.on('error', () => {})
    stream.on('end', () => answer(stream, headers, body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const one = {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    sessions,
    close: () => {
      for (const session of sessions) session.destroy()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  onTestFinished(() => one.close())
  return one
}

const echo = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, body: string): void => {
  stream.respond({ ':status': 200, 'x-seen': JSON.stringify(headers) }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }))
  stream.end(`${headers[':method']} ${headers[':path']} ${body}`)
}

const overHttp2 = { http2ProtocolOptions: {} }

describe('HTTP/2 to endpoints', () => {
  it('carries many requests of HTTP/1.1 clients over one connection', async () => {
    const server = await http2Upstream(echo)
    const proxy = worker()
    await proxy.apply(cluster('c', [server.port], overHttp2), listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => ask(proxy.port('in'), `/${i}`, { method: 'POST', body: 'body' })),
    )
    expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 30 }, (_, i) => `POST /${i} body`))
    const seen = JSON.parse(String(answers[0]?.headers['x-seen'])) as Record<string, string>
    expect(seen).toMatchObject({ ':authority': `127.0.0.1:${proxy.port('in')}`, ':scheme': 'http', 'x-forwarded-proto': 'http' })
    expect(seen.connection).toBeUndefined()
    expect(server.sessions.size).toBe(1)
    await until(() => proxy.stats.value('cluster.c.upstream_cx_http2_total') === 1, 'the connection is counted')
  })

  it('ends the connection to an endpoint whose answer is malformed, unless the cluster says that its stream is enough', async () => {
    let connections = 0
    const answered = new Set<string>()
    const server = net.createServer((socket) => {
      connections++
      socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))
      let bytes = Buffer.alloc(0)
      socket
        .on('error', () => {})
        .on('data', (data) => {
          bytes = Buffer.concat([bytes, data])
          const preface = 24
          for (let at = preface; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
            const isHead = bytes[at + 3] === 1
            const streamId = bytes[at + 8]!
            // A name in upper case behind :status 200.
            if (isHead && !answered.has(`${connections} ${streamId}`))
              socket.write(Buffer.from([0, 0, 6, 1, 5, 0, 0, 0, streamId, 0x88, 0, 1, 0x41, 1, 0x62]))
            if (isHead) answered.add(`${connections} ${streamId}`)
          }
        })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as net.AddressInfo
    const proxy = worker()
    await proxy.apply(
      cluster('c', [port], overHttp2),
      cluster('kind', [port], { http2ProtocolOptions: { overrideStreamErrorOnInvalidHttpMessage: true } }),
      listener('in', [{ filters: [connectionManager([routeTo('c')])] }]),
      listener('kind', [{ filters: [connectionManager([routeTo('kind')])] }]),
    )
    for (const name of ['in', 'kind']) {
      for (let i = 0; i < 2; i++)
        expect(await ask(proxy.port(name), '/', { method: 'POST', body: 'x' })).toMatchObject({ status: 502 })
    }
    expect(connections).toBe(3)
    const seen = ['c', 'kind'].map((name) =>
      ['upstream_rq_tx_reset', 'upstream_cx_protocol_error'].map((stat) => proxy.stats.value(`cluster.${name}.${stat}`)),
    )
    expect(seen).toEqual([
      [2, 2],
      [2, 0],
    ])
  })

  it('passes trailers both ways', async () => {
    const server = await http2Upstream((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end('x')
    })
    const proxy = worker()
    await proxy.apply(cluster('c', [server.port], overHttp2), listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
    const stream = connect(proxy.port('in')).request({ ':method': 'POST', ':path': '/', te: 'trailers' }, { endStream: false })
    stream.end('x')
    stream.resume()
    const trailers = await new Promise<http2.IncomingHttpHeaders>((resolve) => stream.on('trailers', resolve))
    expect(trailers['grpc-status']).toBe('0')
  })

  it('opens another connection where one has as many streams as the peer allows', async () => {
    const server = await http2Upstream(
      (stream, headers, body) => {
        setTimeout(() => echo(stream, headers, body), 30)
      },
      { maxConcurrentStreams: 4 },
    )
    const proxy = worker()
    await proxy.apply(cluster('c', [server.port], overHttp2), listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
    const session = connect(proxy.port('in'))
    // The peer's limit is known once its settings are there.
    await request(session, { ':path': '/' })
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => request(session, { ':path': `/${i}` })))
    expect(answers.map(({ headers }) => headers[':status'])).toEqual(Array.from({ length: 20 }, () => 200))
    expect(server.sessions.size).toBeGreaterThanOrEqual(2)
  })

  it('a connection that goes away is replaced, and no request is lost', async () => {
    const server = await http2Upstream(echo)
    const proxy = worker()
    await proxy.apply(cluster('c', [server.port], overHttp2), listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
    for (let i = 0; i < 3; i++) {
      expect((await ask(proxy.port('in'))).status).toBe(200)
      const closed = [...server.sessions].map((session) => new Promise<void>((resolve) => session.on('close', () => resolve())))
      for (const session of server.sessions) session.close()
      await Promise.all(closed)
    }
    await until(() => proxy.stats.value('cluster.c.upstream_cx_close_notify') === 3, 'GOAWAYs are counted')
  })

  it('says why there is no answer: refused, reset, connection lost', async () => {
    const server = await http2Upstream((stream, headers) => {
      if (headers[':path'] === '/reset') stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
      else stream.session?.destroy()
    })
    const proxy = worker()
    await proxy.apply(
      cluster('c', [server.port], overHttp2),
      cluster('gone', [1], overHttp2),
      listener('in', [{ filters: [connectionManager([routeTo('gone', '/gone'), routeTo('c')])] }]),
    )
    const said = 'upstream connect error or disconnect/reset before headers. reset reason: '
    expect((await ask(proxy.port('in'), '/reset')).body).toBe(`${said}remote reset`)
    expect((await ask(proxy.port('in'), '/lost')).body).toBe(`${said}connection termination`)
    expect((await ask(proxy.port('in'), '/gone')).body).toContain(`${said}remote connection failure`)
  })

  it('by what the client came by, where the cluster says so', async () => {
    const server = await http2Upstream(echo)
    const proxy = worker()
    const upstreamProtocolOptions = { $case: 'useDownstreamProtocolConfig' as const, value: { http2ProtocolOptions: {} } }
    await proxy.apply(
      cluster('c', [server.port], httpOptions({ upstreamProtocolOptions })),
      listener('in', [{ filters: [connectionManager([routeTo('c')])] }]),
    )
    expect((await request(connect(proxy.port('in')), { ':path': '/' })).headers[':status']).toBe(200)
    // An HTTP/2 server does not understand HTTP/1.1.
    expect((await ask(proxy.port('in'))).status).toBeGreaterThanOrEqual(502)
  })

  it('a WebSocket crosses from HTTP/1.1 to HTTP/2 and back', async () => {
    const far = await upstream()
    far.server.on('upgrade', (asked, socket, head) => {
      onTestFinished(() => void socket.destroy())
      const accept = createHash('sha1').update(`${asked.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept.digest('base64')}\r\n\r\n`,
      )
      socket.write(head)
      socket.on('data', (bytes) => socket.write(bytes))
      socket.on('error', () => {})
    })
    const upgradeConfigs = [{ upgradeType: 'websocket' }]
    const [first, second] = [worker(), worker()]
    await second.apply(
      cluster('c', [far.port]),
      listener('in', [
        { filters: [connectionManager([routeTo('c')], { upgradeConfigs, http2ProtocolOptions: { allowConnect: true } })] },
      ]),
    )
    await first.apply(
      cluster('c', [second.port('in')], { http2ProtocolOptions: { allowConnect: true } }),
      listener('in', [{ filters: [connectionManager([routeTo('c')], { upgradeConfigs })] }]),
    )
    const seen = await raw(
      first.port('in'),
      'GET /chat HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nping',
      (text) => text.includes('ping'),
    )
    expect(seen).toMatch(/^HTTP\/1.1 101 /)
    expect(seen.toLowerCase()).toContain('sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=')
    expect(seen.endsWith('ping')).toBe(true)
  })
})
