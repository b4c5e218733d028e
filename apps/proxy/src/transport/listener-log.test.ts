import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { FileAccessLog } from '@weft/contracts/envoy/extensions/access_loggers/file/v3/file'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { certificateSecret, TestAuthority } from '../testing/certificates.ts'
import { connectionManager, echo, listener, mutualTls, typed } from '../testing/resources.ts'
import { WorkerHarness } from '../testing/worker-harness.ts'

let folder: string
let file: string
let proxy: WorkerHarness
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-listener-log-'))
  file = join(folder, 'log')
  proxy = new WorkerHarness()
})
afterEach(() => {
  proxy.close()
  rmSync(folder, { recursive: true, force: true })
})

function toFile(format: string) {
  const log = FileAccessLog.fromPartial({
    path: file,
    accessLogFormat: {
      $case: 'logFormat',
      value: { format: { $case: 'textFormatSource', value: { specifier: { $case: 'inlineString', value: `${format}\n` } } } },
    },
  })
  const type = 'envoy.extensions.access_loggers.file.v3.FileAccessLog'
  return [typed('envoy.access_loggers.file', type, FileAccessLog.encode(log).finish())]
}

/** Lines are gathered for a second before they are written. */
const patience = { timeout: 10_000 }

const lines = () => {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}

test("a listener's own log tells of each connection when it is over, also of one that no chain takes", async () => {
  const match = { filterChainMatch: { sourcePrefixRanges: [{ addressPrefix: '127.0.0.1', prefixLen: 32 }] } }
  const format = '%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% chain=%FILTER_CHAIN_NAME% rx=%BYTES_RECEIVED% tx=%BYTES_SENT%'
  const chains = [{ name: 'echo', filters: [echo], ...match }]
  expect(await proxy.apply(listener('l', chains, { accessLog: toFile(format) }))).toEqual([])
  const socket = net.connect(proxy.port('l'), '127.0.0.1', () => socket.end('hello'))
  socket.resume()
  await once(socket, 'close')
  await expect.poll(lines, patience).toEqual(['- - chain=echo rx=5 tx=5'])
  const other = net.connect({ port: proxy.port('l'), host: '127.0.0.1', localAddress: '127.0.0.2' })
  other.on('error', () => {})
  await once(other, 'close')
  await expect.poll(() => lines()[1], patience).toBe('NR filter_chain_not_found chain=- rx=0 tx=0')
})

test('it says why a handshake failed, in the words of Envoy', async () => {
  const authority = await TestAuthority.create()
  const own = await authority.issue('spiffe://test/proxy')
  const made = listener('l', [{ filters: [echo], transportSocket: mutualTls }], {
    accessLog: toFile('%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%'),
  })
  expect(await proxy.apply(certificateSecret('own', own), authority.trustSecret(), made)).toEqual([])
  const port = proxy.port('l')
  const stranger = await (await TestAuthority.create('other')).issue('spiffe://test/stranger')
  /** Gives what the client is told. */
  const handshake = async (options: tls.ConnectionOptions) => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
    let told = ''
    socket.on('error', ({ message }) => {
      told = message
    })
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
    return told
  }
  expect(await handshake(stranger)).toContain('alert unknown ca')
  expect(await handshake({})).toContain('alert certificate required')
  const plain = net.connect(port, '127.0.0.1', () => plain.write('GET / HTTP/1.1\r\n\r\n'))
  plain.on('error', () => {})
  plain.resume()
  await once(plain, 'close')
  await expect.poll(() => lines().length, patience).toBe(3)
  // Its first message, and a reset when the proxy has answered.
  const relay = net.createServer((from) => {
    from.on('error', () => {})
    from.once('data', (hello) => {
      const to = net.connect(port, '127.0.0.1', () => to.write(hello))
      to.once('data', () => {
        to.resetAndDestroy()
        from.destroy()
      })
    })
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  await handshake({ port: (relay.address() as net.AddressInfo).port })
  relay.close()
  await expect
    .poll(() => lines()[3], patience)
    .toBe('- TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end')
  const [first, second, third] = lines()
  expect(first).toMatch(
    /^spiffe:\/\/test\/stranger TLS_error:\|268435581:.*unable_to_get_local_issuer_certificate:TLS_error_end$/,
  )
  expect(second).toMatch(/^- TLS_error:\|268435648:.*PEER_DID_NOT_RETURN_A_CERTIFICATE/)
  expect(third).toMatch(/^- TLS_error:\|268435612:.*HTTP_REQUEST/)
})

test('of a client by TLS it tells how long its handshake took, and counts what is encrypted; one that ends its side before is closed', async () => {
  const authority = await TestAuthority.create()
  const [own, client] = [await authority.issue('spiffe://test/proxy'), await authority.issue('spiffe://test/client')]
  const made = listener('l', [{ filters: [echo], transportSocket: mutualTls }], {
    accessLog: toFile('%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_HANDSHAKE_DURATION% rx=%BYTES_RECEIVED% tx=%BYTES_SENT%'),
  })
  expect(await proxy.apply(certificateSecret('own', own), authority.trustSecret(), made)).toEqual([])
  const socket = tls.connect({ port: proxy.port('l'), host: '127.0.0.1', rejectUnauthorized: false, ...client })
  socket.end('hello')
  socket.resume()
  await once(socket, 'close')
  await expect.poll(() => lines()[0], patience).toMatch(/^spiffe:\/\/test\/client \d+ rx=5 tx=5$/)
  for (const bytes of ['', '\x16\x03\x01']) {
    const early = net.connect(proxy.port('l'), '127.0.0.1', () => early.end(bytes, 'latin1'))
    early.resume()
    await once(early, 'close')
  }
  await expect.poll(() => lines().slice(1), patience).toEqual(['- - rx=0 tx=0', '- - rx=0 tx=0'])
})

test('it says of a client that does not speak HTTP that it broke the protocol', async () => {
  const chains = [{ filters: [connectionManager([])] }]
  expect(await proxy.apply(listener('l', chains, { accessLog: toFile('%RESPONSE_FLAGS% rx=%BYTES_RECEIVED%') }))).toEqual([])
  for (const bytes of ['NOT HTTP\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x01\x04\0\0\0\0\0\0']) {
    const socket = net.connect(proxy.port('l'), '127.0.0.1', () => socket.end(bytes, 'latin1'))
    socket.on('error', () => {})
    socket.resume()
    await once(socket, 'close')
  }
  await expect.poll(lines, patience).toEqual(['DPE rx=12', 'DPE rx=34'])
})
