import { createServer, type Server } from 'node:http'
import { createServer as createHttp2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { until } from '@weft/service/testing/until'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ProxyLog } from '../../log.ts'
import { Stats } from '../../observe/stats.ts'
import { cell, EndpointSlab, healthFlag } from '../../upstream/endpoint-slab.ts'
import type { ClusterState } from '../clusters.ts'
import { EndpointSlots } from '../endpoint-slots.ts'
import { resource } from '../testing/resources.ts'
import { HealthChecks } from './health-checks.ts'

async function httpServer(status: () => number): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => response.writeHead(status()).end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { server, port: (server.address() as AddressInfo).port }
}

/** Checks of one cluster whose traffic has begun, so that the short interval holds. */
function check(check: string, port: number, ofEndpoint = ''): { health(): number; stats: Stats } {
  const slab = new EndpointSlab(16)
  const stats = new Stats(null)
  const { bytes } = resource(
    'cluster',
    `{name: a, type: STATIC, connect_timeout: 1s, health_checks: [{timeout: 0.5s, interval: 0.02s, no_traffic_interval: 0.02s, ${check}}]}`,
  )
  const endpoint = `address: {socket_address: {address: 127.0.0.1, port_value: ${port}}}`
  const load = ClusterLoadAssignment.decode(
    resource('endpoints', `{cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {${endpoint}${ofEndpoint}}}]}]}`).bytes,
  )
  const slots = new EndpointSlots(slab)
  slots.assign(load, 'ignored-until-checked')
  const cluster: ClusterState = {
    name: 'a',
    origin: 'static',
    version: '',
    updatedAt: new Date(),
    message: Cluster.decode(bytes),
    bytes,
    assignment: load,
    slots,
    membershipChanges: 0,
  }
  const checks = new HealthChecks({ slab, stats, tlsOf: () => null, log: new ProxyLog({ level: 'off' }).of('hc') })
  onTestFinished(() => checks.close())
  checks.follow(cluster)
  return { stats, health: () => slab.get(slots.keys.get(`127.0.0.1:${port}`) ?? 0, cell.health) }
}

/** A server of HTTP/2 that answers each request so, and tells of those that came. */
async function http2Server(
  answer: (stream: ServerHttp2Stream) => void,
): Promise<{ port: number; heads: IncomingHttpHeaders[]; sessions(): number }> {
  const heads: IncomingHttpHeaders[] = []
  let sessions = 0
  const server = createHttp2Server()
  server.on('session', () => sessions++)
  server.on('stream', (stream, head) => {
    heads.push(head)
    stream.on('error', () => undefined)
    answer(stream)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, heads, sessions: () => sessions }
}

/** A gRPC server that says how each of its services is. */
async function grpcServer(statuses: Record<string, number>): Promise<{ port: number; stop(): void }> {
  const raw = { requestDeserialize: (bytes: Buffer) => bytes, responseSerialize: (bytes: Buffer) => bytes }
  const both = { ...raw, requestSerialize: raw.requestDeserialize, responseDeserialize: raw.responseSerialize }
  const path = '/grpc.health.v1.Health/Check'
  const server = new GrpcServer()
  server.addService(
    { check: { path, requestStream: false, responseStream: false, ...both } },
    {
      check(call: { request: Buffer }, answer: (error: { code: number } | null, bytes?: Buffer) => void) {
        const found = statuses[call.request.subarray(2).toString()]
        if (found === undefined) answer({ code: 5 })
        else answer(null, Buffer.from([8, found]))
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  onTestFinished(() => server.forceShutdown())
  return { port, stop: () => server.forceShutdown() }
}

describe('active health checks', () => {
  test.each([
    ['shop', 0],
    ['desk', healthFlag.failedActiveCheck],
    ['unknown', healthFlag.failedActiveCheck],
  ])('over gRPC go by what a server says of its service %s', async (service, health) => {
    const { port } = await grpcServer({ shop: 1, desk: 2 })
    const checked = check(`unhealthy_threshold: 1, healthy_threshold: 1, grpc_health_check: {service_name: ${service}}`, port)
    await until(() => checked.stats.counter('cluster.a.health_check.attempt').value > 3, 'several checks')
    expect(checked.health()).toBe(health)
  })

  test('over gRPC see a server that goes', async () => {
    const { port, stop } = await grpcServer({ '': 1 })
    const checked = check('unhealthy_threshold: 1, healthy_threshold: 1, grpc_health_check: {}', port)
    await until(() => checked.health() === 0, 'it to be healthy')
    stop()
    await until(() => (checked.health() & healthFlag.failedActiveCheck) !== 0, 'it to be unhealthy')
  })

  test('an endpoint is pending until its first check, which counts at once', async () => {
    const { port } = await httpServer(() => 200)
    const { health } = check('unhealthy_threshold: 3, healthy_threshold: 3, http_health_check: {path: /}', port)
    expect(health() & healthFlag.pendingActiveCheck).not.toBe(0)
    await until(() => health() === 0, 'healthy')
  })

  test('an answer that says unhealthy counts at once, and it takes the healthy threshold to come back', async () => {
    let status = 200
    const { port } = await httpServer(() => status)
    const { health, stats } = check('unhealthy_threshold: 9, healthy_threshold: 3, http_health_check: {path: /}', port)
    await until(() => health() === 0, 'healthy')
    status = 503
    await until(() => (health() & healthFlag.failedActiveCheck) !== 0, 'unhealthy')
    const failures = stats.counter('cluster.a.health_check.failure').value
    expect(failures).toBeLessThan(9)
    const successes = stats.counter('cluster.a.health_check.success').value
    status = 200
    await until(() => health() === 0, 'healthy again')
    expect(stats.counter('cluster.a.health_check.success').value - successes).toBeGreaterThanOrEqual(3)
  })

  test('no answer counts when it has come the unhealthy threshold in a row', async () => {
    const { server, port } = await httpServer(() => 200)
    const { health, stats } = check('unhealthy_threshold: 3, healthy_threshold: 1, http_health_check: {path: /}', port)
    await until(() => health() === 0, 'healthy')
    server.close()
    server.closeAllConnections()
    await until(() => (health() & healthFlag.failedActiveCheck) !== 0, 'unhealthy')
    expect(stats.counter('cluster.a.health_check.network_failure').value).toBeGreaterThanOrEqual(3)
  })

  test('over HTTP/2 keep their connection, and go by status and body as over HTTP/1.1', async () => {
    let body = 'all is well'
    const { port, heads, sessions } = await http2Server((stream) => {
      stream.respond({ ':status': 202 })
      stream.end(body)
    })
    const receive = `receive: [{text: "${Buffer.from('well').toString('hex')}"}]`
    const statuses = 'expected_statuses: [{start: 202, end: 203}]'
    const { health, stats } = check(
      `unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /live, host: shop, codec_client_type: HTTP2, ${receive}, ${statuses}}`,
      port,
    )
    await until(() => health() === 0, 'healthy')
    await until(() => stats.counter('cluster.a.health_check.success').value > 1, 'another check')
    expect(heads[0]).toMatchObject({ ':method': 'GET', ':path': '/live', ':authority': 'shop', 'user-agent': 'Envoy/HC' })
    expect(sessions()).toBe(1)
    body = 'all is lost'
    await until(() => (health() & healthFlag.failedActiveCheck) !== 0, 'unhealthy')
  })

  test.each(['GOAWAY', 'a reset', 'a close'])('over HTTP/2, %s in place of an answer is no answer', async (what) => {
    const { port } = await http2Server((stream) => {
      if (what === 'GOAWAY') stream.session?.goaway(2)
      if (what === 'a reset') stream.close(2)
      else stream.session?.destroy()
    })
    const { stats } = check(
      'unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /, codec_client_type: HTTP2}',
      port,
    )
    await until(() => stats.counter('cluster.a.health_check.network_failure').value > 1, 'failures')
  })

  test('an endpoint is checked where it says, by another address or port', async () => {
    const { port } = await httpServer(() => 200)
    const elsewhere = (port: number, more = '') =>
      `, health_check_config: {address: {socket_address: {address: 127.0.0.1, port_value: ${port}}}${more}}`
    const config = 'unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /}'
    const byAddress = check(config, 1, elsewhere(port))
    const byPort = check(config, 1, elsewhere(2, `, port_value: ${port}`))
    await until(() => byAddress.health() === 0 && byPort.health() === 0, 'both healthy')
  })

  test('a TCP check looks for what it expects', async () => {
    let greeting = 'ready\n'
    const server = createTcpServer((socket) => socket.on('error', () => undefined).end(greeting))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { health } = check(
      `unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {receive: [{text: "${Buffer.from('ready').toString('hex')}"}]}`,
      (server.address() as AddressInfo).port,
    )
    await until(() => health() === 0, 'healthy')
    greeting = 'busy\n'
    await until(() => (health() & healthFlag.failedActiveCheck) !== 0, 'unhealthy')
  })
})
