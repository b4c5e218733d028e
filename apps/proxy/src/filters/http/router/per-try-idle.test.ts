import { afterEach, expect, it } from 'vitest'
import { cluster, connectionManager, listener, routeTo } from '../../../testing/resources.ts'
import { ask, Upstream, WorkerHarness } from '../../../testing/worker-harness.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

it('a try that says nothing for per_try_idle_timeout is made again, and the last one answered by 504', async () => {
  let tries = 0
  const origin = new Upstream((request, response) => {
    if (request.url === '/second' && ++tries > 1) response.end('second')
  })
  await origin.listen()
  open.push(origin)
  const proxy = new WorkerHarness()
  open.push(proxy)
  const retryPolicy = { retryOn: '5xx', numRetries: 1, perTryIdleTimeout: { seconds: 0, nanos: 60_000_000 } }
  const manager = connectionManager([routeTo('c', '/', { retryPolicy })])
  expect(await proxy.apply(cluster('c', [origin.port]), listener('in', [{ filters: [manager] }]))).toEqual([])
  expect(await ask(proxy.port('in'), '/never')).toMatchObject({ status: 504, body: 'upstream request timeout' })
  expect(proxy.stats.value('cluster.c.upstream_rq_per_try_idle_timeout')).toBe(2)
  expect(await ask(proxy.port('in'), '/second')).toMatchObject({ status: 200, body: 'second' })
})
