import { expect, it } from 'vitest'
import { connectionManager, routeTo } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { ask } from '../../../testing/worker-harness.ts'

it('a try that says nothing for per_try_idle_timeout is made again, and the last one answered by 504', async () => {
  let tries = 0
  const origin = await upstream((request, response) => {
    if (request.url === '/second' && ++tries > 1) response.end('second')
  })
  const retryPolicy = { retryOn: '5xx', numRetries: 1, perTryIdleTimeout: { seconds: 0, nanos: 60_000_000 } }
  const manager = connectionManager([routeTo('c', '/', { retryPolicy })])
  const proxy = await proxyTo(origin.port, manager)
  expect(await ask(proxy.port('in'), '/never')).toMatchObject({ status: 504, body: 'upstream request timeout' })
  expect(proxy.stats.value('cluster.c.upstream_rq_per_try_idle_timeout')).toBe(2)
  expect(await ask(proxy.port('in'), '/second')).toMatchObject({ status: 200, body: 'second' })
})
