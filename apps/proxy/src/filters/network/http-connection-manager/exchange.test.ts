import net from 'node:net'
import { expect, it } from 'vitest'
import { connectionManager, routeTo } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { raw, until } from '../../../testing/worker-harness.ts'

async function proxyWith(settings: Parameters<typeof connectionManager>[1]) {
  return proxyTo((await upstream()).port, connectionManager([routeTo('c')], settings))
}

const whole = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'

it.each([
  ['the first', 'GET / HTTP/1.1\r\n'],
  ['a later', `${whole}GET / HTTP/1.1\r\n`],
])('a head that does not end in its time is answered by 408, in %s request of a connection', async (_which, bytes) => {
  const proxy = await proxyWith({ requestHeadersTimeout: { seconds: 0, nanos: 50_000_000 } })
  const text = await raw(proxy.port('in'), bytes)
  expect(text).toMatch(/HTTP\/1.1 408 Request Timeout\r\n/)
  expect(text).toMatch(/request header timeout$/)
  expect(proxy.stats.value('http.test.downstream_rq_header_timeout')).toBe(1)
})

it('the time limit of a request counts until it is complete', async () => {
  const proxy = await proxyWith({ requestTimeout: { seconds: 0, nanos: 50_000_000 } })
  const socket = net.connect(proxy.port('in'), '127.0.0.1')
  const seen: string[] = []
  socket.setEncoding('latin1').on('data', (piece: string) => seen.push(piece))
  socket.write(whole)
  await until(() => seen.join('').includes('hello'), 'an answer')
  // One that does not end is refused behind it.
  socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab')
  await until(() => seen.join('').includes('408 Request Timeout'), 'a refusal')
  socket.destroy()
  expect(proxy.stats.value('http.test.downstream_rq_timeout')).toBe(1)
})
