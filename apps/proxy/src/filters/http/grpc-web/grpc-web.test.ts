import { expect, it } from 'vitest'
import { connectionManager, routerFilter, routeTo, typed } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { ask } from '../../../testing/worker-harness.ts'

const grpcWeb = typed('web', 'envoy.extensions.filters.http.grpc_web.v3.GrpcWeb', Buffer.alloc(0))

// As Envoy 1.40.
it.each([
  [200, 'application/grpc', 'said', undefined],
  [200, 'application/grpc-web', 'said', undefined],
  [200, 'application/grpc-web+proto', 'said', undefined],
  [200, 'application/grpc-web-text', '', '2'],
  [200, 'text/plain', '', '2'],
  [429, 'application/grpc', '', '14'],
  [429, 'application/grpc-web+proto', '', '14'],
])('an answer of %i with %s is told as one with body %j and grpc-status %s', async (status, type, body, grpcStatus) => {
  const server = await upstream((_request, response) => {
    response.writeHead(status, { 'content-type': type })
    response.end('said')
  })
  const manager = connectionManager([routeTo('c')], { httpFilters: [grpcWeb, routerFilter] })
  const proxy = await proxyTo(server.port, manager)
  const headers = { 'content-type': 'application/grpc-web+proto' }
  const answer = await ask(proxy.port('in'), '/s/m', { method: 'POST', headers, body: '\0\0\0\0\0' })
  expect(answer).toMatchObject({ status, body })
  expect(answer.headers['content-type']).toBe('application/grpc-web+proto')
  expect(answer.headers['grpc-status']).toBe(grpcStatus)
  expect(answer.headers['grpc-message']).toBe(grpcStatus === undefined ? undefined : 'said')
})
