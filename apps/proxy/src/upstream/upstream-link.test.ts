import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { ResponseHead } from '@weft/http/message'
import type { ResetReason } from '@weft/http/stream'
import { afterEach, describe, expect, it } from 'vitest'
import { poolOf, tcpPoolOf } from './endpoint-pools.ts'
import type { PooledConnection, PoolWaiter } from './pool.ts'
import { host, liveCluster } from './testing.ts'

const servers: net.Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** A port where this becomes of connections. */
async function listen(handle: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    handle(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  servers.push(server)
  return (server.address() as AddressInfo).port
}

async function freePort(): Promise<number> {
  const port = await listen(() => {})
  const server = servers.pop()
  server?.close()
  return port
}

const protocol = (config: string) =>
  `typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, ${config}}}`
const tls = `transport_socket: {name: envoy.transport_sockets.tls, typed_config: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}}`

/** Every kind of pool, by the cluster that has it. */
const kinds = {
  'HTTP/1.1': '',
  'HTTP/2': protocol('explicit_http_config: {http2_protocol_options: {}}'),
  'what the handshake says': protocol('auto_config: {http2_protocol_options: {}}'),
  'bare bytes': '',
}

class Waiter implements PoolWaiter {
  readonly response = new ResponseHead()
  ended = ''
  onPoolReady(connection: PooledConnection): void {
    connection.begin(this)
  }
  onInterim(): void {}
  onResponseHead(): void {}
  onResponseData(): void {}
  onResponseTrailers(): void {}
  onResponseReset(reason: ResetReason, detail: string): void {
    this.ended = `${reason}: ${detail}`
  }
  onRequestWritable(): void {}
}

/** Asks for a connection of this kind; gives how that ended for who asked, and what was counted. */
async function ask(kind: string, settings: string, port: number): Promise<{ ended: string; counted: Record<string, number> }> {
  const { cluster, stats } = liveCluster(`name: x${settings}`, `[{lb_endpoints: [${host(port)}]}]`)
  const endpoint = cluster.pick()!
  const pool = kind === 'bare bytes' ? tcpPoolOf(endpoint, 0, null) : poolOf(endpoint, 0, 11, false, null)
  const waiter = new Waiter()
  const connection = pool.acquire(waiter)
  if (connection !== null && connection !== 'overflow') connection.begin(waiter)
  await expect.poll(() => waiter.ended, { timeout: 10_000 }).not.toBe('')
  const names = ['total', 'active', 'connect_fail', 'connect_timeout', 'destroy', 'destroy_local', 'destroy_remote']
  expect(stats.counter('cluster.x.ssl.connection_error').value).toBe(0)
  const counted = names.map((name): [string, number] => {
    const of = `cluster.x.upstream_cx_${name}`
    return [name, (name === 'active' ? stats.gauge(of) : stats.counter(of)).value]
  })
  expect(pool.size).toBe(0)
  cluster.close()
  return { ended: waiter.ended, counted: Object.fromEntries(counted) }
}

describe.each(Object.entries(kinds))('a connection for %s', (kind, options) => {
  const settings = options === '' ? '' : `, ${options}`

  // Without TLS no handshake can say anything.
  const securities = kind === 'what the handshake says' ? ['TLS'] : ['plaintext', 'TLS']
  it.each(securities)('that is refused is told, and counted once (%s)', async (security) => {
    const all = security === 'TLS' ? `${settings}, ${tls}` : settings
    const { ended, counted } = await ask(kind, all, await freePort())
    expect(ended).toBe('connect-failure: delayed connect error: Connection refused')
    expect(counted).toEqual({
      ...{ total: 1, active: 0, connect_fail: 1, connect_timeout: 0 },
      ...{ destroy: 1, destroy_local: 0, destroy_remote: 1 },
    })
  })

  it('that gets no handshake in time is ended by us', async () => {
    const { ended, counted } = await ask(kind, `${settings}, ${tls}`, await listen(() => {}))
    expect(ended).toBe('connect-failure: connection timeout')
    expect(counted).toEqual({
      ...{ total: 1, active: 0, connect_fail: 1, connect_timeout: 1 },
      ...{ destroy: 1, destroy_local: 1, destroy_remote: 0 },
    })
  })
})
