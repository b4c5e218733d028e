import http2 from 'node:http2'
import net from 'node:net'
import { ProxyProtocolConfig_Version as Version } from '@weft/contracts/envoy/config/core/v3/proxy_protocol'
import { TcpProxy } from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster, connectionManager, listener, typed } from './testing/resources.ts'
import { proxyTo, worker } from './testing/test-proxy.ts'
import { raw, until, type WorkerHarness } from './testing/worker-harness.ts'

/** A TCP server that sends back what comes, and its end behind it. */
async function echoServer(onSocket: (socket: net.Socket) => void = () => {}): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => {})
    socket.on('data', (bytes) => socket.write(bytes))
    socket.on('end', () => socket.end('bye'))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
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

const connectHead = 'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n'

describe('CONNECT that ends here', () => {
  it('goes on as a bare connection, of HTTP/1.1', async () => {
    const proxy = await proxyTo(await echoServer(), terminating({}))
    const seen = await raw(proxy.port('in'), `${connectHead}ping`, (text) => text.endsWith('ping'))
    expect(seen).toMatch(/^HTTP\/1.1 200 OK\r\n/)
    expect(seen).not.toMatch(/content-length|transfer-encoding/i)
    await until(() => proxy.stats.value('cluster.c.upstream_cx_destroy') === 1, 'the connection to the endpoint ends with it')
  })

  it('ends a half at a time, of HTTP/2', async () => {
    const proxy = await proxyTo(await echoServer(), terminating({}))
    const session = http2.connect(`http://127.0.0.1:${proxy.port('in')}`)
    onTestFinished(() => session.destroy())
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
    const proxy = await proxyTo(await echoServer(), terminating({ proxyProtocolConfig: { version: Version.V1 } }))
    const seen = await raw(proxy.port('in'), `${connectHead}ping`, (text) => text.endsWith('ping'))
    expect(seen).toMatch(/\r\n\r\nPROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nping$/)
  })

  it('takes POST too where that is allowed', async () => {
    const proxy = await proxyTo(
      await echoServer((socket) => socket.once('data', () => socket.end())),
      terminating({ allowPost: true }),
    )
    const seen = await raw(proxy.port('in'), 'POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\nping')
    expect(seen).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*\r\n\r\n4\r\nping\r\n/)
  })

  it('is answered 503 where nobody listens', async () => {
    const server = net.createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const at = server.address()
    server.close()
    const proxy = await proxyTo(typeof at === 'object' && at !== null ? at.port : 0, terminating({}))
    expect(await raw(proxy.port('in'), connectHead, (text) => text.includes('\r\n\r\n'))).toMatch(/^HTTP\/1.1 503 /)
  })

  it('of datagrams is refused by name', async () => {
    const proxy = worker()
    const filters = [connectionManager([], { upgradeConfigs: [{ upgradeType: 'CONNECT-UDP' }] })]
    const [error] = await proxy.apply(listener('in', [{ filters }]))
    expect(error?.message).toContain('CONNECT-UDP')
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
    const proxy = await proxyTo(port, terminating({}))
    const client = net.connect(proxy.port('in'), '127.0.0.1')
    onTestFinished(() => void client.destroy())
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

/** A tcp_proxy to cluster `c`. */
function tcpProxy(fields: Parameters<(typeof TcpProxy)['fromPartial']>[0]) {
  const type = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'
  const source = TcpProxy.fromPartial({ statPrefix: 't', clusterSpecifier: { $case: 'cluster', value: 'c' }, ...fields })
  return typed('envoy.filters.network.tcp_proxy', type, TcpProxy.encode(source).finish())
}

/** A client's proxy whose TCP sessions are tunnelled to `port`. */
async function tunnelling(port: number, tunnelingConfig: object, overHttp2: boolean, more: object = {}): Promise<WorkerHarness> {
  const proxy = worker()
  const errors = await proxy.apply(
    cluster('c', [port], overHttp2 ? { http2ProtocolOptions: {} } : {}),
    listener('in', [{ filters: [tcpProxy({ tunnelingConfig: { hostname: 'far:1', ...tunnelingConfig }, ...more })] }]),
  )
  expect(errors).toEqual([])
  return proxy
}

describe('TCP through a tunnel', () => {
  for (const overHttp2 of [false, true]) {
    for (const usePost of [false, true]) {
      it(`of ${usePost ? 'POST' : 'CONNECT'} by HTTP/${overHttp2 ? 2 : 1} comes out as it went in`, async () => {
        const far = await proxyTo(await echoServer(), terminating({ allowPost: true }))
        const near = await tunnelling(far.port('in'), { usePost }, overHttp2)
        const large = 'x'.repeat(300_000)
        const seen = await raw(near.port('in'), large, (text) => text.length === large.length)
        expect(seen === large).toBe(true)
        await until(() => far.stats.value('cluster.c.upstream_cx_destroy') === 1, 'the end of it reaches the endpoint')
        expect(near.stats.value('cluster.c.upstream_rq_total')).toBe(1)
      })
    }
  }

  it('ends a half at a time where that is HTTP/2', async () => {
    const far = await proxyTo(await echoServer(), terminating({}))
    const near = await tunnelling(far.port('in'), {}, true)
    const client = net.connect({ port: near.port('in'), host: '127.0.0.1', allowHalfOpen: true })
    let text = ''
    client.setEncoding('latin1').on('data', (piece: string) => {
      text += piece
    })
    client.end('ping')
    await new Promise((resolve) => client.once('close', resolve))
    expect(text).toBe('pingbye')
  })

  it('that is refused is tried as often as connections are, and ends the session', async () => {
    const refusing = worker()
    await refusing.apply(listener('in', [{ filters: [connectionManager([])] }]))
    const near = await tunnelling(refusing.port('in'), {}, true, { maxConnectAttempts: 2 })
    // Its end may be a reset.
    expect(await raw(near.port('in'), 'ping').catch(() => '')).toBe('')
    await until(() => near.stats.value('cluster.c.upstream_cx_connect_attempts_exceeded') === 1, 'the session is given up')
    expect(near.stats.value('cluster.c.upstream_rq_total')).toBe(2)
  })

  it('a path without POST makes no sense', async () => {
    const proxy = worker()
    const filters = [tcpProxy({ tunnelingConfig: { hostname: 'a:1', postPath: '/x' } })]
    const [error] = await proxy.apply(cluster('c', []), listener('in', [{ filters }]))
    expect(error?.message).toContain('post path')
  })
})

describe('a TCP session', () => {
  const applied = async (port: number, fields: Parameters<typeof tcpProxy>[0]): Promise<WorkerHarness> => {
    const proxy = worker()
    expect(await proxy.apply(cluster('c', [port]), listener('in', [{ filters: [tcpProxy(fields)] }]))).toEqual([])
    return proxy
  }

  it('ends with the next bytes once its listener drains, where that is looked at', async () => {
    const proxy = await applied(await echoServer(), { checkDrainClose: true })
    const socket = net.connect(proxy.port('in'), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    const heard: Buffer[] = []
    socket.on('data', (bytes) => heard.push(bytes)).on('error', () => {})
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.write('before')
    await expect.poll(() => Buffer.concat(heard).toString()).toBe('before')
    await proxy.apply(listener('in', [{ filters: [tcpProxy({ statPrefix: 'u' })] }]))
    socket.write('after')
    await closed
    expect(proxy.stats.value('tcp.t.downstream_cx_drain_close')).toBe(1)
  })

  it('waits between its attempts to connect, and refuses a longest wait below the first', async () => {
    const backoffOptions = { baseInterval: { seconds: 0, nanos: 2_000_000 } }
    const proxy = await applied(1, { maxConnectAttempts: 3, backoffOptions })
    const socket = net.connect(proxy.port('in'), '127.0.0.1')
    await new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
    expect(proxy.stats.value('cluster.c.upstream_cx_connect_fail')).toBe(3)
    const filters = [tcpProxy({ backoffOptions: { ...backoffOptions, maxInterval: { seconds: 0, nanos: 1_000_000 } } })]
    const [error] = await proxy.apply(listener('other', [{ filters }]))
    expect(error?.message).toContain('max_backoff_interval must be greater')
  })
})
