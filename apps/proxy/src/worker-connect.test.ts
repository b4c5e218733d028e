import http2 from 'node:http2'
import net from 'node:net'
import { ProxyProtocolConfig_Version as Version } from '@weft/contracts/envoy/config/core/v3/proxy_protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { cluster, connectionManager, listener } from './testing/resources.ts'
import { raw, until, WorkerHarness } from './testing/worker-harness.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

/** A TCP server that sends back what comes, and its end behind it. */
async function echoServer(onSocket: (socket: net.Socket) => void = () => {}): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    open.unshift({ close: () => socket.destroy() })
    socket.on('error', () => {})
    socket.on('data', (bytes) => socket.write(bytes))
    socket.on('end', () => socket.end('bye'))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(server)
  const at = server.address()
  return typeof at === 'object' && at !== null ? at.port : 0
}

function terminating(connectConfig: object) {
  return connectionManager(
    [
      {
        match: { pathSpecifier: { $case: 'connectMatcher', value: {} } },
        action: {
          $case: 'route',
          value: {
            clusterSpecifier: { $case: 'cluster', value: 'c' },
            upgradeConfigs: [{ upgradeType: 'CONNECT', connectConfig }],
          },
        },
      },
      {
        match: { pathSpecifier: { $case: 'prefix', value: '/' } },
        action: {
          $case: 'route',
          value: {
            clusterSpecifier: { $case: 'cluster', value: 'c' },
            upgradeConfigs: [{ upgradeType: 'CONNECT', connectConfig }],
          },
        },
      },
    ],
    { http2ProtocolOptions: { allowConnect: true } },
  )
}

async function proxyTo(port: number, connectConfig: object): Promise<WorkerHarness> {
  const proxy = new WorkerHarness()
  open.push(proxy)
  expect(await proxy.apply(cluster('c', [port]), listener('in', [{ filters: [terminating(connectConfig)] }]))).toEqual([])
  return proxy
}

const connectHead = 'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n'

describe('CONNECT that ends here', () => {
  it('goes on as a bare connection, of HTTP/1.1', async () => {
    const proxy = await proxyTo(await echoServer(), {})
    const seen = await raw(proxy.port('in'), `${connectHead}ping`, (text) => text.endsWith('ping'))
    expect(seen).toMatch(/^HTTP\/1.1 200 OK\r\n/)
    expect(seen).not.toMatch(/content-length|transfer-encoding/i)
    await until(() => proxy.stats.value('cluster.c.upstream_cx_destroy') === 1, 'the connection to the endpoint ends with it')
  })

  it('ends a half at a time, of HTTP/2', async () => {
    const proxy = await proxyTo(await echoServer(), {})
    const session = http2.connect(`http://127.0.0.1:${proxy.port('in')}`)
    open.push({ close: () => session.destroy() })
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'a:1' })
    let text = ''
    let status = 0
    stream.setEncoding('latin1')
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0
    })
    stream.on('data', (piece: string) => {
      text += piece
    })
    stream.write('ping')
    await until(() => text === 'ping', 'the echo')
    stream.end()
    await until(() => stream.closed, 'the end')
    expect([status, text]).toEqual([200, 'pingbye'])
  })

  it('tells the endpoint first whom it is for, where the route says so', async () => {
    const proxy = await proxyTo(await echoServer(), { proxyProtocolConfig: { version: Version.V1 } })
    const seen = await raw(proxy.port('in'), `${connectHead}ping`, (text) => text.endsWith('ping'))
    expect(seen).toMatch(/\r\n\r\nPROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nping$/)
  })

  it('takes POST too where that is allowed', async () => {
    const proxy = await proxyTo(await echoServer((socket) => socket.once('data', () => socket.end())), { allowPost: true })
    const seen = await raw(proxy.port('in'), 'POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\nping')
    expect(seen).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*\r\n\r\n4\r\nping\r\n/)
  })

  it('is answered 503 where nobody listens', async () => {
    const server = net.createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const at = server.address()
    server.close()
    const proxy = await proxyTo(typeof at === 'object' && at !== null ? at.port : 0, {})
    expect(await raw(proxy.port('in'), connectHead, (text) => text.includes('\r\n\r\n'))).toMatch(/^HTTP\/1.1 503 /)
  })

  it('a client that reads nothing stops the endpoint', async () => {
    let sent = 0
    const port = await echoServer((socket) => {
      const piece = Buffer.alloc(65536)
      const write = (): void => {
        while (!socket.destroyed && socket.write(piece)) sent += piece.length
      }
      socket.on('drain', write)
      write()
    })
    const proxy = await proxyTo(port, {})
    const client = net.connect(proxy.port('in'), '127.0.0.1')
    open.unshift({ close: () => client.destroy() })
    client.pause()
    client.write(connectHead)
    let before = -1
    let looks = 0
    await until(() => {
      looks = sent > 0 && sent === before ? looks + 1 : 0
      before = sent
      return looks === 20
    }, 'the endpoint to be held up')
    expect(sent).toBeLessThan(64 * 1024 * 1024)
  })
})
