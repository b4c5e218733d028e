import http2 from 'node:http2'
import { HttpConnectionManager_CodecType as Codec } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { afterEach, describe, expect, it } from 'vitest'
import { cluster, connectionManager, listener, routeTo } from './testing/resources.ts'
import { ask, raw, Upstream, until, WorkerHarness } from './testing/worker-harness.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

async function upstream(...answer: ConstructorParameters<typeof Upstream>): Promise<Upstream> {
  const one = new Upstream(...answer)
  await one.listen()
  open.push(one)
  return one
}

function worker(): WorkerHarness {
  const one = new WorkerHarness()
  open.push(one)
  return one
}

function connect(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  open.push({ close: () => session.destroy() })
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
    const proxy = worker()
    await proxy.apply(cluster('c', [server.port]), listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
    expect((await request(connect(proxy.port('in')), { ':path': '/' })).body).toBe('hello')
    expect((await ask(proxy.port('in'))).body).toBe('hello')
    // A first byte that could be either's.
    const slow = await raw(proxy.port('in'), 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    expect(slow).toMatch(/^HTTP\/1.1 200/)
  })

  it('large bodies go both ways, and a client that does not read holds up nobody else', async () => {
    const large = 'x'.repeat(3_000_000)
    const server = await upstream((asked, response, body) => response.end(asked.url === '/echo' ? body : large))
    const proxy = worker()
    await proxy.apply(cluster('c', [server.port]), listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
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
    const proxy = worker()
    await proxy.apply(cluster('c', [server.port]), listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
    const session = connect(proxy.port('in'))
    const stream = session.request({ ':path': '/' })
    await until(() => server.requests.length === 1, 'the request is there')
    stream.close(http2.constants.NGHTTP2_CANCEL)
    await until(() => closed === 1, 'upstream sees the end')
  })

  it('a drain ends connections without losing a request', async () => {
    const server = await upstream((_asked, response) => setTimeout(() => response.end('late'), 50))
    const proxy = worker()
    await proxy.apply(cluster('c', [server.port]), listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
    const session = connect(proxy.port('in'))
    const gone = new Promise<void>((resolve) => session.on('close', () => resolve()))
    const under = Promise.all(Array.from({ length: 10 }, () => request(session, { ':path': '/' })))
    await until(() => server.requests.length === 10, 'all are under way')
    proxy.drain()
    expect((await under).map(({ body }) => body)).toEqual(Array.from({ length: 10 }, () => 'late'))
    await gone
  })
})
