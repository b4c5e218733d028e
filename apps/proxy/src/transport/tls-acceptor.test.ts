import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { certificateSecret, TestAuthority } from '../testing/certificates.ts'
import { echo, listener, mutualTls } from '../testing/resources.ts'
import { WorkerHarness } from '../testing/worker-harness.ts'
import * as tlsSession from '../tls/tls-session.ts'

const authority = await TestAuthority.create()
const own = await authority.issue('spiffe://test/proxy')
const client = await authority.issue('spiffe://test/client')
const stranger = await (await TestAuthority.create('other')).issue('spiffe://test/client')
const content = Buffer.from('a line of text\n'.repeat(100_000))

/** What comes back of a content that is sent through, and what the client is told. */
async function visit(port: number, options: tls.ConnectionOptions): Promise<{ told: string; back: Buffer }> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  const seen: Buffer[] = []
  let told = ''
  socket.on('error', ({ message }) => {
    told = message
  })
  socket.on('data', (piece) => seen.push(piece))
  socket.end(content)
  await new Promise((resolve) => socket.once('close', resolve))
  return { told, back: Buffer.concat(seen) }
}

describe.each(['by TLS of Node', 'by TLS of its own'])('a listener %s', (kind) => {
  let proxy: WorkerHarness
  let port: number
  beforeAll(async () => {
    if (kind === 'by TLS of Node') vi.spyOn(tlsSession, 'hasOwnTls').mockReturnValue(false)
    proxy = new WorkerHarness()
    const made = listener('l', [{ filters: [echo], transportSocket: mutualTls }])
    expect(await proxy.apply(certificateSecret('own', own), authority.trustSecret(), made)).toEqual([])
    port = proxy.port('l')
  })
  afterAll(() => {
    proxy.close()
    vi.restoreAllMocks()
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('gives a client of %s back all that it sends, and then the end', async (version) => {
    const { told, back } = await visit(port, { ...client, minVersion: version, maxVersion: version })
    expect(told).toBe('')
    expect(back.equals(content)).toBe(true)
  })

  test('turns away who shows no certificate, or one of another authority', async () => {
    for (const options of [{}, stranger]) {
      const { told, back } = await visit(port, options)
      expect(told).not.toBe('')
      expect(back).toHaveLength(0)
    }
  })

  // (Node's waits out the handshake's time for some of them.)
  test.skipIf(kind === 'by TLS of Node')(
    'takes no harm of handshakes that end, or go wrong, after any of their bytes',
    async () => {
      /** Passes on what a client says up to `most` bytes, `spoils` the last of them, and ends then. */
      const cut = async (most: number, spoils: boolean) => {
        const relay = net.createServer((from) => {
          const to = net.connect(port, '127.0.0.1')
          let left = most
          for (const one of [from, to]) one.on('error', () => {}).on('close', () => (one === from ? to : from).destroy())
          to.pipe(from)
          from.on('data', (chunk) => {
            const piece = Buffer.from(chunk.subarray(0, Math.min(left, chunk.length)))
            left -= piece.length
            if (left <= 0 && spoils && piece.length > 0) piece[piece.length - 1]! ^= 0x55
            to.write(piece)
            if (left <= 0) to.end()
          })
        })
        relay.listen(0, '127.0.0.1')
        await once(relay, 'listening')
        await visit((relay.address() as AddressInfo).port, client)
        relay.close()
      }
      // A client's part of this handshake has some 1,500 bytes.
      for (let most = 1; most < 2500; most += 97) for (const spoils of [false, true]) await cut(most, spoils)
      expect((await visit(port, client)).back.equals(content)).toBe(true)
    },
  )
})
