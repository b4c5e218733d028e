import { HttpInspector } from '@weft/contracts/envoy/extensions/filters/listener/http_inspector/v3/http_inspector'
import { Config as DirectResponse } from '@weft/contracts/envoy/extensions/filters/network/direct_response/v3/config'
import { expect, test } from 'vitest'
import { listener, typed } from '../../../testing/resources.ts'
import { worker } from '../../../testing/test-proxy.ts'
import { raw } from '../../../testing/worker-harness.ts'

const says = (value: string) => {
  const response = DirectResponse.fromPartial({ response: { specifier: { $case: 'inlineString', value } } })
  return [typed('says', 'envoy.extensions.filters.network.direct_response.v3.Config', DirectResponse.encode(response).finish())]
}

test('a request line tells which HTTP a client speaks; without a version it is as old as can be', async () => {
  const type = 'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector'
  const listenerFilters = [typed('http', type, HttpInspector.encode(HttpInspector.fromPartial({})).finish())]
  const chains = ['http/1.0', 'http/1.1', 'h2c'].map((name) => ({
    filters: says(name),
    filterChainMatch: { applicationProtocols: [name] },
  }))
  const defaultFilterChain = { filters: says('none') }
  const proxy = worker()
  expect(await proxy.apply(listener('l', chains, { listenerFilters, defaultFilterChain }))).toEqual([])
  const lines = {
    'GET / HTTP/1.1\r\n': 'http/1.1',
    'GET / HTTP/1.0\r\n': 'http/1.0',
    'GET /\r\n': 'http/1.0',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n': 'h2c',
    'hello there\r\n': 'none',
  }
  for (const [line, name] of Object.entries(lines)) expect([line, await raw(proxy.port('l'), line)]).toEqual([line, name])
})
