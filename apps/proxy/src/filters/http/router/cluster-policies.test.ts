import { expect, it } from 'vitest'
import { cluster, connectionManager, httpOptions, listener, routeTo } from '../../../testing/resources.ts'
import { upstream, worker } from '../../../testing/test-proxy.ts'
import { ask } from '../../../testing/worker-harness.ts'

async function origin(status: number): Promise<{ port: number; seen: string[] }> {
  const seen: string[] = []
  const server = await upstream((request, response) => {
    seen.push(request.url ?? '')
    response.statusCode = status
    response.end()
  })
  return { port: server.port, seen }
}

it("a cluster's retries and copies go before those of a route", async () => {
  const [main, copy, other] = [await origin(503), await origin(200), await origin(200)]
  const proxy = worker()
  const route = { retryPolicy: { retryOn: 'retriable-4xx' }, requestMirrorPolicies: [{ cluster: 'other' }] }
  const errors = await proxy.apply(
    cluster(
      'c',
      [main.port],
      httpOptions({ retryPolicy: { retryOn: '5xx', numRetries: 2 }, requestMirrorPolicies: [{ cluster: 'copy' }] }),
    ),
    cluster('copy', [copy.port]),
    cluster('other', [other.port]),
    listener('in', [{ filters: [connectionManager([routeTo('c', '/', route)])] }]),
  )
  expect(errors).toEqual([])
  expect(await ask(proxy.port('in'), '/a')).toMatchObject({ status: 503 })
  expect(main.seen).toEqual(['/a', '/a', '/a'])
  await expect.poll(() => copy.seen).toEqual(['/a'])
  expect(other.seen).toEqual([])
})

it('clusters have copies copied and tried again by their own policies, and in a circle not for ever', async () => {
  const [main, copy] = [await origin(200), await origin(503)]
  const proxy = worker()
  const again = { retryPolicy: { retryOn: '5xx', numRetries: 1 }, requestMirrorPolicies: [{ cluster: 'copy' }] }
  const errors = await proxy.apply(
    cluster('c', [main.port]),
    cluster('copy', [copy.port], httpOptions(again)),
    listener('in', [{ filters: [connectionManager([routeTo('c', '/', { requestMirrorPolicies: [{ cluster: 'copy' }] })])] }]),
  )
  expect(errors).toEqual([])
  expect(await ask(proxy.port('in'), '/a')).toMatchObject({ status: 200 })
  await expect.poll(() => proxy.stats.value('cluster.copy.upstream_rq_503')).toBe(3)
  expect(copy.seen).toHaveLength(6)
  expect(proxy.stats.value('http.async-client.rq_total')).toBe(3)
})

it("a cluster's hash policy goes before that of a route", async () => {
  const hosts = [await origin(200), await origin(200), await origin(200), await origin(200)]
  const proxy = worker()
  const by = (queryParameter: string) => [
    { policySpecifier: { $case: 'queryParameter' as const, value: { name: queryParameter } } },
  ]
  const errors = await proxy.apply(
    cluster(
      'c',
      hosts.map(({ port }) => port),
      { lbPolicy: 2, ...httpOptions({ hashPolicy: by('of-cluster') }) },
    ),
    listener('in', [{ filters: [connectionManager([routeTo('c', '/', { hashPolicy: by('of-route') })])] }]),
  )
  expect(errors).toEqual([])
  for (let i = 0; i < 20; i++) await ask(proxy.port('in'), `/?of-cluster=same&of-route=${i}`)
  expect(hosts.map(({ seen }) => seen.length).sort()).toEqual([0, 0, 0, 20])
})

it('refuses what a route would be refused for', async () => {
  const proxy = worker()
  const [error] = await proxy.apply(cluster('c', [1], httpOptions({ requestMirrorPolicies: [{}] })))
  expect(error?.message).toContain('request_mirror_policies[0]')
})
