import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import type { PeerJudge } from '../plan/peer-trust.ts'
import { TestAuthority } from '../testing/certificates.ts'
import { isKnownChain } from './known-chains.ts'
import { hasOwnTls, plainBytes, releaseIdle, type ServerTls, TlsSession, type TlsUser } from './tls-session.ts'

const authority = await TestAuthority.create()
const own = await authority.issue('spiffe://test/server')
const client = await authority.issue('spiffe://test/client')
const context = tls.createSecureContext({ ...own, ca: authority.pem, allowPartialTrustChain: true })

function session(changes: Partial<ServerTls> = {}): TlsSession {
  return new TlsSession({
    context,
    alpn: [],
    judge: null,
    requiresCertificate: false,
    keepsChains: true,
    keyLog: null,
    ticketKeys: [],
    staple: () => null,
    ...changes,
  })
}

/** Writes by a stream. */
function userOf(socket: net.Socket): TlsUser {
  return { transmit: (bytes, start, end) => void socket.write(Buffer.from(bytes.subarray(start, end))), writableFd: -1 }
}

/** The same, and to the descriptor while nothing waits in the stream. */
function directUserOf(socket: net.Socket): TlsUser {
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } }
  return {
    ...userOf(socket),
    get writableFd() {
      return socket.writableLength === 0 && !socket.destroyed ? handle.fd : -1
    },
  }
}

const opened: net.Server[] = []
afterEach(() => {
  for (const one of opened.splice(0)) one.close()
})

/** A server of one session a connection, which answers what it is sent; tells of each that is over. */
async function serve(changes: Partial<ServerTls>, over: (session: TlsSession) => void = () => {}): Promise<number> {
  const server = net.createServer((socket) => {
    const one = session(changes)
    const user = userOf(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      const length = one.receive(chunk, 0, chunk.length, user)
      if (length > 0) one.send(Buffer.from(plainBytes.subarray(0, length)), 0, length, user)
      if (one.state === 'ended') one.shutDown(user)
      if (one.state === 'ended' || one.state === 'failed') socket.end()
    })
    socket.on('close', () => {
      over(one)
      one.free()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(server)
  return (server.address() as AddressInfo).port
}

/** What a client is told of its handshake; empty: nothing but good. */
async function visit(
  port: number,
  options: tls.ConnectionOptions = {},
): Promise<{ told: string; answer: string; alpn: unknown }> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  let told = ''
  let answer = ''
  let alpn: unknown
  socket.on('secureConnect', () => {
    alpn = socket.alpnProtocol
  })
  socket.on('error', ({ message }) => {
    told = message
  })
  socket.on('data', (chunk) => {
    answer += chunk
    socket.end()
  })
  socket.write('hello')
  await new Promise((resolve) => socket.once('close', resolve))
  return { told, answer, alpn }
}

test('this Node has TLS that can be called', () => {
  expect(hasOwnTls()).toBe(true)
})

test.each(['TLSv1.2', 'TLSv1.3'] as const)('a client of %s is answered, and agrees on a protocol of ours', async (version) => {
  const facts: string[] = []
  const port = await serve({ alpn: ['h2', 'http/1.1'] }, (one) =>
    facts.push(`${one.protocol} ${one.alpn} ${one.group} ${one.peerSignature} ${one.state}`),
  )
  const options = { maxVersion: version, minVersion: version, ALPNProtocols: ['http/1.1'], ecdhCurve: 'X25519:P-256' }
  expect(await visit(port, options)).toEqual({ told: '', answer: 'hello', alpn: 'http/1.1' })
  await expect.poll(() => facts).toEqual([`${version} http/1.1 x25519  ended`])
  // One without a protocol of ours goes on without.
  expect(await visit(port, { ...options, ALPNProtocols: ['smtp'] })).toEqual({ told: '', answer: 'hello', alpn: false })
})

test.each(['TLSv1.2', 'TLSv1.3'] as const)('what a socket of %s has no room for comes behind it, in order', async (version) => {
  const content = Buffer.alloc(8 << 20)
  for (let i = 0; i < content.length; i += 4) content.writeUInt32LE((i * 2_654_435_761) % 2 ** 32, i)
  let transmitted = 0
  const server = net.createServer((socket) => {
    const one = session()
    const direct = directUserOf(socket)
    const user: TlsUser = {
      get writableFd() {
        return direct.writableFd
      },
      transmit(bytes, start, end) {
        if (one.state === 'open') transmitted += end - start
        direct.transmit(bytes, start, end)
      },
    }
    let at = 0
    // Pieces of all sizes, some of more than a record.
    const go = () => {
      while (at < content.length && !socket.writableNeedDrain) {
        const end = Math.min(content.length, at + 1 + ((at * 7) % 20_000))
        expect(one.send(content, at, end, user)).toBe(true)
        at = end
      }
      if (at === content.length) one.shutDown(user)
    }
    socket.on('error', () => {}).on('drain', go)
    socket.on('data', (chunk) => {
      if (one.receive(chunk, 0, chunk.length, user) > 0) go()
    })
    socket.on('close', () => one.free())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(server)
  const { port } = server.address() as AddressInfo
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, minVersion: version, maxVersion: version })
  const seen: Buffer[] = []
  socket.write('go')
  // Nobody reads until more has been written than the kernel takes.
  socket.pause()
  await expect.poll(() => transmitted).toBeGreaterThan(0)
  socket.on('data', (chunk) => seen.push(chunk)).resume()
  await once(socket, 'end')
  socket.destroy()
  expect(Buffer.concat(seen).equals(content)).toBe(true)
  // Most of it took the short way, but for the pieces of more than a record.
  expect(transmitted).toBeLessThan(content.length / 2)
})

test('of a peer that is gone, a write tells by the name of the error', async () => {
  let failure: Error | null = null
  const server = net.createServer((socket) => {
    const one = session()
    const user = directUserOf(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      if (one.receive(chunk, 0, chunk.length, user) === 0) return
      socket.pause()
      const writing = setInterval(() => {
        if (one.send(chunk, 0, chunk.length, user)) return
        clearInterval(writing)
        failure = one.failure
        socket.destroy()
        one.free()
      }, 1)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(server)
  const plain = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const socket = tls.connect({ socket: plain, rejectUnauthorized: false })
  socket.on('error', () => {}).write('go')
  await once(socket, 'data')
  plain.resetAndDestroy()
  await expect.poll(() => failure).toMatchObject({ syscall: 'write', code: expect.stringMatching(/^(EPIPE|ECONNRESET)$/) })
})

test('a client is shown the certificates that were configured, and none of those that are trusted', async () => {
  const port = await serve({})
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const shown = socket.getPeerX509Certificate()
  socket.destroy()
  expect(shown?.subjectAltName).toBe('URI:spiffe://test/server')
  expect(shown?.issuerCertificate).toBeUndefined()
})

test('a client is turned away within its handshake by the alert that says why', async () => {
  const seen: string[] = []
  let refusal: string | null = null
  const judge: PeerJudge = ({ certificate, said }) => {
    seen.push(`${certificate.subjectAltName} ${said}`)
    return { isWanted: said === '' && refusal === null, word: said || (refusal ?? '') }
  }
  const port = await serve({ judge, requiresCertificate: true })
  expect(await visit(port)).toMatchObject({ told: expect.stringContaining('alert certificate required') })
  expect(await visit(port, client)).toMatchObject({ told: '', answer: 'hello' })
  refusal = 'CERT_HAS_EXPIRED'
  expect(await visit(port, client)).toMatchObject({ told: expect.stringContaining('alert certificate expired') })
  refusal = ''
  expect(await visit(port, client)).toMatchObject({ told: expect.stringContaining('alert certificate unknown') })
  const stranger = await (await TestAuthority.create('other')).issue('spiffe://test/client')
  expect(await visit(port, stranger)).toMatchObject({ told: expect.stringContaining('alert unknown ca') })
  expect(seen.at(-1)).toBe('URI:spiffe://test/client UNABLE_TO_GET_ISSUER_CERT_LOCALLY')
})

test('a client that a server knows is nobody to one that trusts others', async () => {
  const judge: PeerJudge = ({ said }) => ({ isWanted: said === '', word: said })
  const other = await TestAuthority.create('other')
  const port = await serve({ judge, requiresCertificate: true })
  const otherContext = tls.createSecureContext({ ...own, ca: other.pem, allowPartialTrustChain: true })
  const otherPort = await serve({ context: otherContext, judge, requiresCertificate: true })
  for (let i = 0; i < 2; i++) {
    expect(await visit(port, client)).toMatchObject({ told: '', answer: 'hello' })
    expect(await visit(otherPort, client)).toMatchObject({ told: expect.stringContaining('alert unknown ca'), answer: '' })
  }
})

test('a chain that was found good is known as it was shown', async () => {
  const judge: PeerJudge = ({ said }) => ({ isWanted: said === '', word: said })
  const leaf = new X509Certificate(client.cert).raw
  const shown = `${leaf.length} ${leaf.toString('latin1')}`
  for (const keepsChains of [false, true]) {
    const fresh = tls.createSecureContext({ ...own, ca: authority.pem, allowPartialTrustChain: true })
    const port = await serve({ context: fresh, judge, requiresCertificate: true, keepsChains })
    for (let i = 0; i < 2; i++) expect(await visit(port, client)).toMatchObject({ told: '', answer: 'hello' })
    expect(isKnownChain(fresh, shown)).toBe(keepsChains)
    const { validFrom, validTo } = new X509Certificate(client.cert)
    expect(isKnownChain(fresh, shown, Date.parse(validTo))).toBe(false)
    expect(isKnownChain(fresh, shown, Date.parse(validFrom) - 1)).toBe(false)
  }
})

test('what a client sent beside its certificate is known, whether it is let in or not, and which of them is wrong', async () => {
  const below = await TestAuthority.create('below', authority)
  const { cert, key } = await below.issue('spiffe://test/client')
  const visitor = { cert: cert + below.pem, key }
  const { raw } = new X509Certificate(below.pem)
  const own509 = new X509Certificate(cert)
  for (const isWanted of [true, false]) {
    const judged: Parameters<PeerJudge>[0][] = []
    const judge: PeerJudge = (presented) => {
      judged.push(presented)
      return { isWanted, word: '' }
    }
    const beside: Buffer[][] = []
    const note = (session: TlsSession) => beside.push(session.sentBeside.map((one) => one.raw))
    await visit(await serve({ judge, requiresCertificate: true }, note), visitor)
    await expect.poll(() => beside).toEqual([[raw]])
    expect(judged).toMatchObject([{ said: '', depth: 0 }])
    expect(judged[0]!.certificate.raw).toEqual(own509.raw)
  }
  // Who signed the one in between is nobody here, and who has not shown it, nor is the one who signed its own.
  const stranger = await TestAuthority.create('stranger')
  const others = tls.createSecureContext({ ...own, ca: stranger.pem, allowPartialTrustChain: true })
  for (const [options, depth] of [
    [visitor, 1],
    [{ cert, key }, 0],
  ] as const) {
    const judged: Parameters<PeerJudge>[0][] = []
    const judge: PeerJudge = (presented) => {
      judged.push(presented)
      return { isWanted: false, word: presented.said }
    }
    await visit(await serve({ context: others, judge, requiresCertificate: true }), options)
    expect(judged).toMatchObject([{ said: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', depth }])
  }
})

test('the groups that keys are agreed on in do not limit what key a client’s certificate has', async () => {
  const narrow = tls.createSecureContext({ ...own, ca: authority.pem, allowPartialTrustChain: true, ecdhCurve: 'X25519' })
  const judge: PeerJudge = ({ said }) => ({ isWanted: said === '', word: said })
  const port = await serve({ context: narrow, judge, requiresCertificate: true })
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    expect(await visit(port, { ...client, minVersion: version, maxVersion: version })).toMatchObject({
      told: '',
      answer: 'hello',
    })
  // Keys are agreed on in no other for it.
  const others = { ...client, maxVersion: 'TLSv1.2' as const, ecdhCurve: 'P-256' }
  expect(await visit(port, others)).toMatchObject({ told: expect.stringContaining('handshake failure'), answer: '' })
})

test('a client that is let in though nobody vouches for it is not better known when its session is resumed', async () => {
  const stranger = await (await TestAuthority.create('other')).issue('spiffe://test/client')
  const known: string[] = []
  const judge: PeerJudge = ({ said }) => ({ isWanted: true, word: said })
  const withId = tls.createSecureContext({ ...own, ca: authority.pem, sessionIdContext: 'test' })
  const server = net.createServer((socket) => {
    const one = session({ context: withId, judge, requiresCertificate: true })
    const user = userOf(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      if (one.receive(chunk, 0, chunk.length, user) > 0) {
        known.push(`${one.wasResumed} ${one.presented?.said}`)
        one.send(Buffer.from('hello'), 0, 5, user)
      }
    })
    socket.on('close', () => one.free())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(server)
  let last: Buffer | undefined
  for (let i = 0; i < 2; i++) {
    const { port } = server.address() as AddressInfo
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false, ...stranger }
    const socket = tls.connect(last === undefined ? options : { ...options, session: last })
    socket.on('session', (one) => {
      last = one
    })
    socket.write('hello')
    await once(socket, 'data')
    socket.destroy()
  }
  expect(known).toEqual(['false UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'true UNABLE_TO_GET_ISSUER_CERT_LOCALLY'])
})

test('a connection that has kept still has no buffers, and goes on as before', async () => {
  const port = await serve({})
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  let answer = ''
  socket.setEncoding('latin1').on('data', (piece: string) => {
    answer += piece
  })
  for (const text of ['one', 'two', 'three']) {
    socket.write(text)
    await expect.poll(() => answer).toMatch(new RegExp(`${text}$`))
    releaseIdle()
    releaseIdle()
  }
  socket.destroy()
})

test('what is said of its certificate is stapled for a client that asks, and lines of a key log are written', async () => {
  const said = Buffer.from('what an authority says')
  const leaves: Buffer[] = []
  const lines: string[] = []
  const port = await serve({
    context: tls.createSecureContext({ ...own, ca: authority.pem }),
    keyLog: (line) => lines.push(line.toString()),
    staple(leaf) {
      leaves.push(Buffer.from(leaf))
      return said
    },
  })
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, requestOCSP: true })
  const stapled = once(socket, 'OCSPResponse')
  const secrets: string[] = []
  socket.on('keylog', (line: Buffer) => secrets.push(line.toString()))
  await once(socket, 'secureConnect')
  expect(await stapled).toEqual([said])
  socket.write('hello')
  await once(socket, 'data')
  expect(leaves).toEqual([new X509Certificate(own.cert).raw])
  socket.destroy()
  expect(await visit(port)).toMatchObject({ told: '', answer: 'hello' })
  expect(leaves).toHaveLength(1)
  for (const line of secrets) expect(lines).toContain(line)
  expect(secrets.length).toBeGreaterThan(0)
})

test('what is no TLS fails, whatever it is, and no other session is any the worse', async () => {
  const seen: string[] = []
  const port = await serve({}, (one) => seen.push(one.failure?.message ?? ''))
  const send = async (bytes: Buffer) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.end(bytes))
    socket.on('error', () => {})
    socket.resume()
    await once(socket, 'close')
  }
  await send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
  await expect.poll(() => seen).toEqual([expect.stringMatching(/^error:0A00009C:SSL routines::http request:$/)])
  let random = 1
  for (let i = 0; i < 200; i++) {
    const bytes = Buffer.alloc(1 + (i % 90))
    for (let at = 0; at < bytes.length; at++) {
      random = (random * 48_271) % 0x7fff_ffff
      bytes[at] = random & 0xff
    }
    if (i % 2 === 0) Buffer.from([22, 3, 1, 0, i]).copy(bytes)
    await send(bytes)
  }
  expect(await visit(port)).toMatchObject({ told: '', answer: 'hello' })
})
