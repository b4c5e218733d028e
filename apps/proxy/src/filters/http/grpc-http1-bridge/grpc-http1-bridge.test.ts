import { Config } from '@weft/contracts/envoy/extensions/filters/http/grpc_http1_bridge/v3/config'
import { expect, it } from 'vitest'
import { cluster, connectionManager, httpOptions, listener, routerFilter, routeTo, typed } from '../../../testing/resources.ts'
import { upstream, worker } from '../../../testing/test-proxy.ts'
import { ask } from '../../../testing/worker-harness.ts'

const bridge = typed(
  'bridge',
  'envoy.extensions.filters.http.grpc_http1_bridge.v3.Config',
  Config.encode(Config.fromPartial({})).finish(),
)
const withTrailers = httpOptions({
  upstreamProtocolOptions: {
    $case: 'explicitHttpConfig',
    value: { protocolConfig: { $case: 'httpProtocolOptions', value: { enableTrailers: true } } },
  },
})

it.each([
  ['0', 200],
  ['5', 503],
])('a client of HTTP/1.1 is told of gRPC status %s in the head, with status %i', async (grpcStatus, status) => {
  const server = await upstream((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/grpc', trailer: 'grpc-status' })
    response.write('abc')
    response.addTrailers({ 'grpc-status': grpcStatus, 'grpc-message': 'why' })
    response.end('def')
  })
  const proxy = worker()
  const manager = connectionManager([routeTo('c')], { httpFilters: [bridge, routerFilter] })
  expect(await proxy.apply(cluster('c', [server.port], withTrailers), listener('in', [{ filters: [manager] }]))).toEqual([])
  const answer = await ask(proxy.port('in'), '/s/m', {
    method: 'POST',
    headers: { 'content-type': 'application/grpc' },
    body: 'x',
  })
  expect(answer).toMatchObject({ status, body: 'abcdef' })
  expect(answer.headers).toMatchObject({ 'grpc-status': grpcStatus, 'grpc-message': 'why', 'content-length': '6' })
})
