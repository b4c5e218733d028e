import { clientPreface, frameType } from '@weft/http/h2/frame'
import { frame, get, headers } from '@weft/http/h2/testing/raw-peer'
import { expect, it } from 'vitest'
import { connectionManager, routeTo } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { ask, raw } from '../../../testing/worker-harness.ts'

async function proxyOf() {
  const manager = connectionManager([routeTo('c')], { commonHttpProtocolOptions: { maxRequestsPerConnection: 1 } })
  return proxyTo((await upstream()).port, manager)
}

it('a connection that has had its requests ends, and counts as one that has', async () => {
  const proxy = await proxyOf()
  expect((await ask(proxy.port('in'), '/')).headers.connection).toBe('close')
  expect(proxy.stats.value('http.test.downstream_cx_max_requests_reached')).toBe(1)
})

it('a request that is malformed is one of them', async () => {
  const proxy = await proxyOf()
  const bytes = Buffer.concat([clientPreface, frame(frameType.settings, 0, 0), headers(1, [...get, ['content-length', '5']])])
  await raw(proxy.port('in'), bytes.toString('latin1'))
  expect(proxy.stats.value('http.test.downstream_cx_max_requests_reached')).toBe(1)
})
