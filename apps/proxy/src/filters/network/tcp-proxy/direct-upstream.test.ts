import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../../testing/worker-harness.ts'
import { host, liveCluster } from '../../../upstream/testing.ts'
import { DirectUpstream } from './direct-upstream.ts'

const client = { remoteAddress: '127.0.0.1', remotePort: 1, localAddress: '127.0.0.1', localPort: 2 }
const tls = `transport_socket: {name: envoy.transport_sockets.tls, typed_config: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}}`

/** A session's connection to a server that does this with it; `settings`: of the cluster. */
async function connecting(serve: (socket: net.Socket) => void, settings = '', port?: number) {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    serve(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const at = (server.address() as AddressInfo).port
  const { cluster, stats } = liveCluster(`name: x${settings}`, `[{lb_endpoints: [${host(port ?? at)}]}]`)
  onTestFinished(() => {
    cluster.close()
    server.close()
  })
  const endpoint = cluster.pick(null)!
  const breaker = cluster.breakers[0]
  breaker.take('connections')
  breaker.take('pending')
  const heard = { connected: false, text: '', ended: false, closed: null as string | null, reset: false }
  const upstream = new DirectUpstream(
    { endpoint, breaker, names: null, client, isSession: true },
    {
      onConnected: () => {
        heard.connected = true
      },
      onBytes: (bytes, start, end) => {
        heard.text += bytes.latin1Slice(start, end)
      },
      onEnd: () => {
        heard.ended = true
      },
      onWritable: () => {},
      onClose: (failure, reset) => {
        heard.closed = failure
        heard.reset = reset === true
      },
    },
  )
  /** What was counted, but for what is 0. */
  const counted = () => {
    const counters = [
      'cx_total',
      'cx_connect_fail',
      'cx_connect_timeout',
      'cx_destroy_local',
      'cx_destroy_remote',
      'rq_total',
      'cx_destroy_with_active_rq',
    ]
    const all = [...counters, 'rq_pending_total', 'rq_pending_failure_eject'].map(
      (name) => [name, stats.counter(`cluster.x.upstream_${name}`).value] as const,
    )
    const gauges = ['cx_active', 'rq_active', 'rq_pending_active'].map(
      (name) => [name, stats.gauge(`cluster.x.upstream_${name}`).value] as const,
    )
    return Object.fromEntries([...all, ...gauges].filter(([, value]) => value !== 0))
  }
  return { upstream, heard, counted, server, port: at }
}

describe('the connection of a TCP session', () => {
  it('waits as pending, stands, and ends with us', async () => {
    const { upstream, heard, counted } = await connecting((socket) => socket.pipe(socket))
    expect(counted()).toEqual({ cx_total: 1, cx_active: 1, rq_pending_total: 1, rq_pending_active: 1 })
    await until(() => heard.connected, 'the connection to stand')
    expect(counted()).toEqual({ cx_total: 1, cx_active: 1, rq_pending_total: 1, rq_total: 1, rq_active: 1 })
    const bytes = Buffer.from('hello')
    upstream.write(bytes, 0, bytes.length)
    await until(() => heard.text === 'hello', 'the echo')
    const { localPort } = upstream.info
    expect(localPort).toBeGreaterThan(0)
    upstream.closeWhenFlushed()
    await until(() => heard.closed !== null, 'its end')
    const over = { cx_destroy_local: 1, cx_destroy_with_active_rq: 1 }
    expect(counted()).toEqual({ cx_total: 1, ...over, rq_pending_total: 1, rq_total: 1 })
    // For the log, which is written after that.
    expect(upstream.info.localPort).toBe(localPort)
  })

  it('ends with the server, which is told as a reset where it is one', async () => {
    const ended = await connecting((socket) => socket.end())
    await until(() => ended.heard.ended, 'the server’s end')
    ended.upstream.closeWhenFlushed()
    await until(() => ended.heard.closed !== null, 'the end')
    // Who is last closes it.
    expect(ended.counted()).toMatchObject({ cx_destroy_local: 1 })
    expect(ended.heard.reset).toBe(false)
    const last = await connecting((socket) => socket.on('end', () => socket.end()).resume())
    await until(() => last.heard.connected, 'the connection to stand')
    last.upstream.endWriting()
    await until(() => last.heard.ended, 'the server’s end')
    last.upstream.closeWhenFlushed()
    await until(() => last.heard.closed !== null, 'the end')
    expect(last.counted()).toMatchObject({ cx_destroy_remote: 1 })
    const reset = await connecting((socket) => socket.once('data', () => socket.resetAndDestroy()))
    await until(() => reset.heard.connected, 'the connection to stand')
    reset.upstream.write(Buffer.from('x'), 0, 1)
    await until(() => reset.heard.closed !== null, 'the reset')
    expect(reset.heard.reset).toBe(true)
  })

  it('is ended by a reset where the client has done so', async () => {
    let failure: NodeJS.ErrnoException | null = null
    const { upstream, heard, counted } = await connecting((socket) => {
      socket.on('error', (error) => {
        failure = error
      })
      socket.resume()
    })
    await until(() => heard.connected, 'the connection to stand')
    upstream.resetNow()
    await until(() => failure?.code === 'ECONNRESET', 'the server to be told')
    expect(counted()).toMatchObject({ cx_destroy_local: 1 })
  })

  it('that is refused says why', async () => {
    const gone = await connecting(() => {})
    gone.server.close()
    const { heard, counted } = await connecting(() => {}, '', gone.port)
    await until(() => heard.closed !== null, 'the refusal')
    expect(heard).toMatchObject({ connected: false, closed: 'delayed connect error: Connection refused', reset: false })
    const failed = { cx_connect_fail: 1, cx_destroy_remote: 1, rq_pending_failure_eject: 1 }
    expect(counted()).toEqual({ cx_total: 1, rq_pending_total: 1, ...failed })
  })

  // As Envoy 1.40 counts it.
  it('whose handshake takes too long is ended by us', async () => {
    const { heard, counted } = await connecting(() => {}, `, ${tls}`)
    await until(() => heard.closed !== null, 'the time to be up')
    expect(heard).toMatchObject({ connected: false, closed: 'connection timeout' })
    const late = { cx_connect_fail: 1, cx_connect_timeout: 1, cx_destroy_local: 1, rq_pending_failure_eject: 1 }
    expect(counted()).toEqual({ cx_total: 1, rq_pending_total: 1, ...late })
  })

  it('that nobody wants any more waits no more', async () => {
    const { upstream, heard, counted } = await connecting(() => {}, `, ${tls}`)
    upstream.closeWhenFlushed()
    expect(counted()).not.toHaveProperty('rq_pending_active')
    await until(() => heard.closed !== null, 'its end')
    expect([heard.connected, counted()['rq_pending_failure_eject']]).toEqual([false, undefined])
  })
})
