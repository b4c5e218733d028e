import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { Stats } from '../observe/stats.ts'
import type { WorkerServices } from '../worker-services.ts'
import { httpCall } from './http-client.ts'
import { host, liveCluster } from './testing.ts'

function statOf(stats: Stats, name: string): number {
  const of = `cluster.authority.${name}`
  return (name.endsWith('_active') ? stats.gauge(of) : stats.counter(of)).value
}

test('calls of the proxy itself count with the connections they open and the interim answers they get', async () => {
  const server = createServer((_, response) => {
    response.writeEarlyHints({ link: '</a>; rel=preload' })
    response.end('yes')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  onTestFinished(() => void server.close())
  const { cluster, stats } = liveCluster('name: authority', `[{lb_endpoints: [${host(port)}]}]`)
  const services = { cluster: () => cluster } as unknown as WorkerServices
  for (let i = 0; i < 2; i++) {
    const { status, body } = await httpCall(services, 'authority', '/check', { timeoutMs: 5000, maxBytes: 100 })
    expect([status, String(body)]).toEqual([200, 'yes'])
  }
  const told = (name: string) => statOf(stats, name)
  expect(['upstream_cx_total', 'upstream_cx_http1_total', 'upstream_cx_active'].map(told)).toEqual([1, 1, 1])
  expect(['upstream_rq_total', 'upstream_rq_active', 'upstream_rq_pending_total'].map(told)).toEqual([2, 0, 1])
  expect(['upstream_rq_1xx', 'upstream_rq_103', 'upstream_rq_2xx'].map(told)).toEqual([2, 2, 2])
  server.closeAllConnections()
  await expect.poll(() => told('upstream_cx_active'), { timeout: 10_000 }).toBe(0)
  expect(told('upstream_cx_destroy')).toBe(1)
})

test('a connection that is refused counts as one that failed', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  const { cluster, stats } = liveCluster('name: authority', `[{lb_endpoints: [${host(port)}]}]`)
  const services = { cluster: () => cluster } as unknown as WorkerServices
  await expect(httpCall(services, 'authority', '/check', { timeoutMs: 5000, maxBytes: 100 })).rejects.toThrow()
  await expect.poll(() => statOf(stats, 'upstream_cx_connect_fail'), { timeout: 10_000 }).toBe(1)
  const told = ['upstream_cx_active', 'upstream_rq_pending_failure_eject', 'upstream_rq_total'].map((name) => statOf(stats, name))
  expect(told).toEqual([0, 1, 0])
})

test('a connection whose handshake fails counts as one that failed', async () => {
  const server = createTcpServer((socket) => socket.on('error', () => {}).end('no TLS'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const { cluster, stats } = liveCluster('name: authority', `[{lb_endpoints: [${host(port)}]}]`)
  cluster.tlsOptions = () => ({ rejectUnauthorized: false })
  const services = { cluster: () => cluster } as unknown as WorkerServices
  await expect(httpCall(services, 'authority', '/check', { timeoutMs: 5000, maxBytes: 100 })).rejects.toThrow()
  await expect.poll(() => statOf(stats, 'upstream_cx_connect_fail'), { timeout: 10_000 }).toBe(1)
})
