import net from 'node:net'
import { TlsInspector } from '@weft/contracts/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector'
import { afterEach, expect, test } from 'vitest'
import { echo, listener, typed } from '../../../testing/resources.ts'
import { WorkerHarness } from '../../../testing/worker-harness.ts'

let proxy: WorkerHarness | null = null
afterEach(() => proxy?.close())

/** What an echo behind the inspector sends back; empty: the connection is closed. */
async function answered(fields: Parameters<(typeof TlsInspector)['fromPartial']>[0], bytes: Buffer): Promise<Buffer> {
  proxy = new WorkerHarness()
  const inspector = TlsInspector.encode(TlsInspector.fromPartial(fields)).finish()
  const type = 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector'
  const listenerFilters = [typed('tls_inspector', type, inspector)]
  expect(await proxy.apply(listener('l', [{ filters: [echo] }], { listenerFilters }))).toEqual([])
  const socket = net.connect(proxy.port('l'), '127.0.0.1', () => socket.write(bytes))
  return new Promise((resolve) => {
    let got = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      got = Buffer.concat([got, chunk])
      if (got.length >= bytes.length) socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(got))
  })
}

/** A ClientHello in one record, made longer by an extension of padding. */
function hello(padding: number): Buffer {
  const extension = Buffer.concat([Buffer.of(0, 21, padding >> 8, padding & 255), Buffer.alloc(padding)])
  const body = Buffer.concat([
    Buffer.from(`\x03\x03${'r'.repeat(32)}\0\0\x02\xc0\x2f\x01\0`, 'latin1'),
    Buffer.of(extension.length >> 8, extension.length & 255),
    extension,
  ])
  const length = body.length + 4
  return Buffer.concat([Buffer.of(22, 3, 1, length >> 8, length & 255, 1, 0, body.length >> 8, body.length & 255), body])
}

test('a hello longer than may be is refused', async () => {
  expect(await answered({ maxClientHelloSize: 300 }, hello(100))).toEqual(hello(100))
  expect(proxy?.stats.value('tls_inspector.tls_found')).toBe(1)
  expect(await answered({ maxClientHelloSize: 300 }, hello(400))).toEqual(Buffer.alloc(0))
  expect(proxy?.stats.value('tls_inspector.client_hello_too_large')).toBe(1)
})

test('what is no hello is closed where it is to be', async () => {
  const plain = Buffer.from('GET / HTTP/1.1\r\n\r\n')
  expect(await answered({}, plain)).toEqual(plain)
  expect(await answered({ closeConnectionOnClientHelloParsingErrors: true }, plain)).toEqual(Buffer.alloc(0))
  expect(proxy?.stats.value('tls_inspector.tls_not_found')).toBe(1)
})
