import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { ResetReason } from '@weft/http/stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sharedOutput } from '../transport/shared-output.ts'
import type { ProxiedClient } from '../transport/upstream-tls.ts'
import { poolOf, tcpPoolOf } from './endpoint-pools.ts'
import type { PooledConnection, PoolWaiter } from './pool.ts'
import { host, liveCluster } from './testing.ts'

/** A port where this becomes of connections. */
async function listen(handle: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    handle(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
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
  const pool = kind === 'bare bytes' ? tcpPoolOf(endpoint, 0, null, null) : poolOf(endpoint, 0, 11, false, null, null)
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

/** An endpoint whose first address is 127.0.0.2, and another one 127.0.0.1. */
const twoAddresses = (port: number): string => {
  const at = (address: string) => `address: {socket_address: {address: ${address}, port_value: ${port}}}`
  return `[{lb_endpoints: [{endpoint: {${at('127.0.0.2')}, additional_addresses: [{${at('127.0.0.1')}}]}}]}]`
}

/** Begins a request to that endpoint; gives its connection and what became of it. */
function askOneOfTwo(settings: string, port: number) {
  const { cluster, stats } = liveCluster(`name: x${settings}`, twoAddresses(port))
  onTestFinished(() => cluster.close())
  const waiter = new Waiter()
  const connection = poolOf(cluster.pick()!, 0, 11, false, null, null).acquire(waiter)
  if (connection === null || connection === 'overflow') throw new Error('no connection')
  connection.begin(waiter)
  return { connection, waiter, count: (name: string) => stats.counter(`cluster.x.${name}`).value }
}

describe('an endpoint of several addresses', () => {
  it('is connected to by the next one where the first refuses', async () => {
    const { connection, count } = askOneOfTwo('', await listen(() => {}))
    await expect.poll(() => connection.connected, { timeout: 10_000 }).toBe(true)
    expect([count('upstream_cx_total'), count('upstream_cx_connect_fail')]).toEqual([2, 0])
  })

  it.each([
    ['plaintext', ''],
    ['TLS', `, ${tls}`],
  ])('fails once where all refuse (%s)', async (_security, settings) => {
    const { waiter, count } = askOneOfTwo(settings, await freePort())
    await expect.poll(() => waiter.ended, { timeout: 10_000 }).toBe('connect-failure: delayed connect error: Connection refused')
    expect([count('upstream_cx_connect_fail'), count('ssl.connection_error')]).toEqual([1, 0])
  })
})

const behindProxyHeader = (config: string): string => {
  const type = 'type.googleapis.com/envoy.extensions.transport_sockets'
  const raw = `{name: raw, typed_config: {'@type': ${type}.raw_buffer.v3.RawBuffer}}`
  return `transport_socket: {name: pp, typed_config: {'@type': ${type}.proxy_protocol.v3.ProxyProtocolUpstreamTransport, config: {${config}}, transport_socket: ${raw}}}`
}

/** What an endpoint gets of a request on each of its connections, one for each of the clients that asks. */
async function heardFrom(config: string, clients: readonly (ProxiedClient | null)[]): Promise<Buffer[]> {
  const heard: Buffer[] = []
  const port = await listen((socket) => {
    const at = heard.push(Buffer.alloc(0)) - 1
    socket.on('data', (bytes: Buffer) => {
      heard[at] = Buffer.concat([heard[at]!, bytes])
      if (heard[at].includes('GET /')) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
    })
  })
  const { cluster } = liveCluster(`name: x, ${behindProxyHeader(config)}`, `[{lb_endpoints: [${host(port)}]}]`)
  expect(cluster.plan.keepsClientsApart).toBe(true)
  const endpoint = cluster.pick()!
  const request = new RequestHead()
  Object.assign(request, { method: 'GET', path: '/', authority: 'a' })
  for (const client of clients) {
    const connection = poolOf(endpoint, 0, 11, false, null, client).acquire(new Waiter())
    if (connection === null || connection === 'overflow') throw new Error('no connection')
    connection.begin(new Waiter()).sendHead(request, true)
  }
  // Before the connections stand.
  sharedOutput.flush()
  await expect.poll(() => heard.filter((bytes) => bytes.includes('GET /')).length, { timeout: 10_000 }).toBe(clients.length)
  cluster.close()
  return heard.map((bytes) => bytes.subarray(0, bytes.indexOf('GET /'))).sort(Buffer.compare)
}

describe('a connection of HTTP/1.1 behind a PROXY header', () => {
  const clientAt = (port: number, tlvs?: ProxiedClient['tlvs']): ProxiedClient => ({
    ...{ remoteAddress: '10.0.0.1', remotePort: port, localAddress: '10.0.0.2', localPort: 80 },
    tlvs,
  })

  it('says whose requests come on it before all else, and is for one client alone', async () => {
    const heard = await heardFrom('version: V1', [clientAt(1001), clientAt(1002)])
    expect(heard.map(String)).toEqual([1001, 1002].map((port) => `PROXY TCP4 10.0.0.1 10.0.0.2 ${port} 80\r\n`))
  })

  it('says the proxy’s own addresses before a request of its own that waited for it', async () => {
    const [heard] = await heardFrom('version: V1', [null])
    expect(String(heard)).toMatch(/^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n$/)
  })

  it('tells what is added, and what the client brought of other types', async () => {
    const added = `added_tlvs: [{type: 224, value: YQ==}, {type: 226, format_string: {text_format_source: {inline_string: "%DOWNSTREAM_REMOTE_PORT%"}}}]`
    const tlvs = [224, 225].map((type) => ({ type, value: Buffer.from('own') }))
    const [heard] = await heardFrom(`version: V2, pass_through_tlvs: {match_type: INCLUDE_ALL}, ${added}`, [clientAt(1001, tlvs)])
    expect(heard!.subarray(28).toString('latin1')).toBe('\xe0\0\x01a\xe2\0\x041001\xe1\0\x03own')
  })
})
