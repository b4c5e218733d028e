import { once } from 'node:events'
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { connectionManager, routeTo } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'

type Settings = Parameters<typeof connectionManager>[1]

const get = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'
const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'
const ms = (count: number) => ({ seconds: 0, nanos: count * 1_000_000 })

/**
 * A client that says this to a proxy so configured and leaves its side open, when the proxy has ended its own: what it got, and a client that has
 * not closed by the time that it is given counts.
 */
async function ended(says: string, settings: Settings = {}) {
  const proxy = await proxyTo((await upstream()).port, connectionManager([routeTo('c')], settings))
  const client = net.connect({ port: proxy.port('in'), allowHalfOpen: true })
  onTestFinished(() => void client.destroy())
  client.on('error', () => {})
  let got = ''
  client.on('data', (bytes: Buffer) => {
    got += bytes.latin1Slice()
  })
  client.write(Buffer.from(says, 'latin1'))
  const end = once(client, 'end')
  return {
    client,
    got: () => got,
    end,
    stat: (name: string) => proxy.stats.value(`http.test.${name}`),
    late: () => proxy.stats.value('http.test.downstream_cx_delayed_close_timeout'),
    open: () => proxy.stats.value('http.test.downstream_cx_active'),
  }
}

const idle: Settings = { commonHttpProtocolOptions: { idleTimeout: ms(50) }, drainTimeout: ms(10) }
const old: Settings = { commonHttpProtocolOptions: { maxConnectionDuration: ms(50) }, drainTimeout: ms(10) }

test.each<[string, string, Settings]>([
  ['whose client breaks the protocol', 'GET / HTTP/1.1\r\nbad header\r\n\r\n', {}],
  ['of HTTP/2 whose client breaks the protocol', `${preface}\0\0\x01\0\0\0\0\0\0x`, {}],
  ['that has been idle for long', get, idle],
  ['of HTTP/2 that has been idle for long', preface, idle],
  ['that is old', get, old],
])('a connection %s ends, and counts when its client does not close too', async (_, says, settings) => {
  const { end, late, open } = await ended(says, settings)
  await end
  await expect.poll(open, { timeout: 10_000 }).toBe(0)
  expect(late()).toBe(1)
})

test.each<[string, string, Settings]>([
  ['that its client wants to end', get.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'), {}],
  ['with as many requests as it may have', get, { commonHttpProtocolOptions: { maxRequestsPerConnection: 1 } }],
])('a connection %s ends behind the answer, and counts not', async (_, says, settings) => {
  const { client, got, end, late, open } = await ended(says, { ...settings, delayedCloseTimeout: { seconds: 60, nanos: 0 } })
  await end
  expect(got()).toMatch(/^HTTP\/1.1 200 OK\r\n(.*\r\n)*connection: close\r\n/)
  client.end()
  await expect.poll(open, { timeout: 10_000 }).toBe(0)
  expect(late()).toBe(0)
})

test('a client of HTTP/2 that breaks the protocol and closes before its time is up is the one who closed, and its request ended at once', async () => {
  // A request whose headers are followed by a frame that may not come between them.
  const { client, stat, late, open } = await ended(`${preface}\0\0\x01\x01\0\0\0\0\x01\x82\0\0\x08\x06\0\0\0\0\x0012345678`, {
    delayedCloseTimeout: { seconds: 60, nanos: 0 },
  })
  await expect.poll(() => stat('downstream_cx_protocol_error'), { timeout: 10_000 }).toBe(1)
  expect([stat('downstream_cx_destroy_active_rq'), stat('downstream_cx_destroy_local_active_rq'), open()]).toEqual([1, 1, 1])
  client.end()
  await expect.poll(open, { timeout: 10_000 }).toBe(0)
  expect([stat('downstream_cx_destroy_remote'), stat('downstream_cx_destroy_local'), late()]).toEqual([1, 0, 0])
})

test('a connection that ends with an error is not idle meanwhile', async () => {
  const { end, stat, late } = await ended(`${preface}\0\0\x01\0\0\0\0\0\0x`, { ...idle, delayedCloseTimeout: ms(300) })
  await end
  await expect.poll(late, { timeout: 10_000 }).toBe(1)
  expect(stat('downstream_cx_idle_timeout')).toBe(0)
})

test('one that is to be ended safely answers what it began before it was old as ever, and ends behind the next', async () => {
  const { client, got, end, late } = await ended(get, {
    commonHttpProtocolOptions: { maxConnectionDuration: ms(500) },
    http1SafeMaxConnectionDuration: true,
  })
  await expect.poll(got, { timeout: 10_000 }).toContain('200 OK')
  expect(got()).not.toContain('connection: close')
  // Each is answered until the connection is old.
  const more = setInterval(() => client.write(get), 20)
  onTestFinished(() => clearInterval(more))
  await end
  expect(got().match(/\r\nconnection: close\r\n/g)).toHaveLength(1)
  expect(late()).toBe(0)
})
