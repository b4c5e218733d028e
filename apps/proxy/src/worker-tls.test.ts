import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { HttpConnectionManager_ForwardClientCertDetails as Mode } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import {
  type CertificateValidationContext,
  SubjectAltNameMatcher_SanType,
  CertificateValidationContext_TrustChainVerification as TrustChainVerification,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { certificateSecret, TestAuthority } from './testing/certificates.ts'
import {
  cluster,
  connectionManager,
  downstreamTls,
  echo,
  listener,
  routeTo,
  typed,
  upstreamTls,
  workloadTls,
} from './testing/resources.ts'
import { upstream, worker } from './testing/test-proxy.ts'
import { ask, raw, until } from './testing/worker-harness.ts'
import type { ResourceUpdate } from './threads.ts'

type Validation = Parameters<(typeof CertificateValidationContext)['fromPartial']>[0]

const alice = 'spiffe://cluster.local/ns/default/sa/alice'
const bob = 'spiffe://cluster.local/ns/default/sa/bob'
let authority: TestAuthority
let aliceKeys: { cert: string; key: string }
let bobKeys: { cert: string; key: string }
beforeAll(async () => {
  authority = await TestAuthority.create()
  aliceKeys = await authority.issue(alice)
  bobKeys = await authority.issue(bob)
})

function serverTls(requireClientCertificate = true, preferClientCiphers = false, ticketKeys?: string) {
  return downstreamTls({
    ...(ticketKeys === undefined
      ? {}
      : { sessionTicketKeysType: { $case: 'sessionTicketKeysSdsSecretConfig' as const, value: { name: ticketKeys } } }),
    requireClientCertificate,
    preferClientCiphers,
    commonTlsContext: { ...workloadTls(), alpnProtocols: ['h2', 'http/1.1'] },
  })
}

function clientTls(names: string[], keyLog?: string) {
  return upstreamTls({
    commonTlsContext: { ...workloadTls(names), ...(keyLog === undefined ? {} : { keyLog: { path: keyLog } }) },
    sni: 'outbound_.80_._.c',
  })
}

const hcm = () =>
  connectionManager([routeTo('c')], {
    forwardClientCertDetails: Mode.SANITIZE_SET,
    setCurrentClientCertDetails: { subject: true, uri: true },
  })

const inspector = 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector'
const tlsInspector = typed('envoy.filters.listener.tls_inspector', inspector, new Uint8Array())

function askTls(port: number, options: https.RequestOptions): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = https.request(
      { host: '127.0.0.1', port, agent: false, ca: authority.pem, checkServerIdentity: () => undefined, ...options },
      (response) => {
        let body = ''
        response.on('data', (piece: Buffer) => {
          body += piece.toString()
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    )
    request.on('error', reject)
    request.end()
  })
}

/** One request of Alice's; `session`: to be resumed. */
function visit(port: number, session?: Buffer): Promise<{ session: Buffer; reused: boolean; answer: string }> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', ...aliceKeys, rejectUnauthorized: false, ...(session ? { session } : {}) }
    const socket = tls.connect(options, () => socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'))
    let latest: Buffer | undefined
    socket.on('session', (one) => {
      latest = one
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed')))
    socket.on('data', (data) => {
      resolve({ session: latest ?? Buffer.alloc(0), reused: socket.isSessionReused(), answer: data.toString('latin1') })
      socket.destroy()
    })
  })
}

describe('TLS in a worker', () => {
  it("takes the first cipher of its own, or of the client's where that is preferred", async () => {
    const proxy = worker()
    const aes = 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256'
    const chaCha = 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256'
    for (const [prefers, ciphers, chosen] of [
      [false, aes, 'ECDHE-ECDSA-AES128-GCM-SHA256'],
      // ChaCha20 and AES-128 are alike to it.
      [false, chaCha, 'ECDHE-ECDSA-CHACHA20-POLY1305'],
      [true, aes, 'ECDHE-ECDSA-AES256-GCM-SHA384'],
    ] as const) {
      const errors = await proxy.apply(
        certificateSecret('default', bobKeys),
        authority.trustSecret(),
        cluster('c', [1]),
        listener(`in-${prefers}`, [{ transportSocket: serverTls(false, prefers), filters: [hcm()] }]),
      )
      expect(errors).toEqual([])
      const options = { port: proxy.port(`in-${prefers}`), rejectUnauthorized: false, maxVersion: 'TLSv1.2' as const, ciphers }
      const socket = tls.connect({ host: '127.0.0.1', ...options })
      onTestFinished(() => void socket.destroy())
      await once(socket, 'secureConnect')
      expect(socket.getCipher().name).toBe(chosen)
    }
  })

  it('lets in by mutual TLS alone where the chain is strict, and tells upstream who it was', async () => {
    const up = await upstream()
    const proxy = worker()
    const chain = { filterChainMatch: { transportProtocol: 'tls' }, transportSocket: serverTls(), filters: [hcm()] }
    expect(
      await proxy.apply(
        certificateSecret('default', bobKeys),
        authority.trustSecret(),
        cluster('c', [up.port]),
        listener('in', [chain], { listenerFilters: [tlsInspector] }),
      ),
    ).toEqual([])
    const port = proxy.port('in')
    expect(await askTls(port, { cert: aliceKeys.cert, key: aliceKeys.key })).toMatchObject({ status: 200, body: 'hello' })
    expect(up.requests[0]!.headers['x-forwarded-client-cert']).toMatch(
      /^By=spiffe:\/\/cluster.local\/ns\/default\/sa\/bob;Hash=[0-9a-f]{64};Subject="";URI=spiffe:\/\/cluster.local\/ns\/default\/sa\/alice$/,
    )
    expect(up.requests[0]!.headers['x-forwarded-proto']).toBe('https')
    await expect(askTls(port, {})).rejects.toThrow()
    await expect(ask(port)).rejects.toThrow()
    expect(await raw(port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n').catch(() => '')).toBe('')
    const stranger = await (await TestAuthority.create()).issue(alice)
    await expect(askTls(port, { cert: stranger.cert, key: stranger.key })).rejects.toThrow()
    expect(up.requests).toHaveLength(1)
    expect(proxy.stats.value('listener.127.0.0.1_0.ssl.fail_verify_no_cert')).toBe(1)
    expect(proxy.stats.value('listener.127.0.0.1_0.ssl.fail_verify_error')).toBe(1)
  })

  it('asks for certificates where they count, and lets nobody in without one where only some may come in', async () => {
    const pin = createHash('sha256').update(new X509Certificate(aliceKeys.cert).raw).digest('hex')
    const trustedCa = { specifier: { $case: 'inlineString' as const, value: authority.pem } }
    const names = [
      { sanType: SubjectAltNameMatcher_SanType.URI, matcher: { matchPattern: { $case: 'exact' as const, value: alice } } },
    ]
    const acceptUntrusted = { trustChainVerification: TrustChainVerification.ACCEPT_UNTRUSTED }
    const rules: Record<string, Validation> = {
      'who-cares': {},
      'by-authority': { trustedCa },
      'by-name': { trustedCa, matchTypedSubjectAltNames: names },
      'by-pin': { verifyCertificateHash: [pin] },
      'by-pin-that-does-not-count': { verifyCertificateHash: [pin], ...acceptUntrusted },
    }
    const proxy = worker()
    const listeners = Object.entries(rules).map(([name, value]) => {
      const transportSocket = downstreamTls({
        commonTlsContext: {
          tlsCertificateSdsSecretConfigs: [{ name: 'default' }],
          validationContextType: { $case: 'validationContext', value },
        },
      })
      return listener(name, [{ filters: [echo], transportSocket }], { statPrefix: name })
    })
    expect(await proxy.apply(certificateSecret('default', bobKeys), ...listeners)).toEqual([])
    /** What comes back to a client with this certificate: an echo, or a word of why not. */
    const back = (name: string, options: tls.ConnectionOptions) =>
      new Promise<string>((resolve) => {
        const socket = tls.connect({ port: proxy.port(name), host: '127.0.0.1', rejectUnauthorized: false, ...options })
        onTestFinished(() => void socket.destroy())
        socket.on('error', () => resolve('refused'))
        socket.on('data', (bytes) => resolve(bytes.toString()))
        socket.write('hello')
      })
    const seen: Record<string, string[]> = {}
    for (const name of Object.keys(rules)) seen[name] = await Promise.all([{}, aliceKeys, bobKeys].map((one) => back(name, one)))
    expect(seen).toEqual({
      'who-cares': ['hello', 'hello', 'hello'],
      'by-authority': ['hello', 'hello', 'hello'],
      'by-name': ['refused', 'hello', 'refused'],
      'by-pin': ['refused', 'hello', 'refused'],
      'by-pin-that-does-not-count': ['hello', 'hello', 'hello'],
    })
    const without = (name: string) => proxy.stats.value(`listener.${name}.ssl.no_certificate`)
    await expect.poll(() => [without('who-cares'), without('by-authority')]).toEqual([3, 1])
  })

  it('takes both TLS and plaintext where the chains are permissive', async () => {
    const up = await upstream()
    const proxy = worker()
    await proxy.apply(
      certificateSecret('default', bobKeys),
      authority.trustSecret(),
      cluster('c', [up.port]),
      listener(
        'in',
        [
          { filterChainMatch: { transportProtocol: 'tls' }, transportSocket: serverTls(), filters: [hcm()] },
          { filterChainMatch: { transportProtocol: 'raw_buffer' }, filters: [hcm()] },
        ],
        { listenerFilters: [tlsInspector] },
      ),
    )
    const port = proxy.port('in')
    expect(await askTls(port, { cert: aliceKeys.cert, key: aliceKeys.key })).toMatchObject({ status: 200 })
    expect(await ask(port, '/', { method: 'POST', body: 'x'.repeat(100_000) })).toMatchObject({ status: 200 })
    expect(up.requests[1]!.body).toHaveLength(100_000)
  })

  it('speaks mutual TLS between two proxies, and refuses an endpoint with another name', async () => {
    const up = await upstream()
    const [near, far] = [worker(), worker()]
    await far.apply(
      certificateSecret('default', bobKeys),
      authority.trustSecret(),
      cluster('c', [up.port]),
      listener('in', [{ transportSocket: serverTls(), filters: [hcm()] }]),
    )
    await near.apply(
      certificateSecret('default', aliceKeys),
      authority.trustSecret(),
      cluster('c', [far.port('in')], { transportSocket: clientTls([bob]) }),
      cluster('wrong', [far.port('in')], { transportSocket: clientTls([alice]) }),
      listener('out', [{ filters: [connectionManager([routeTo('wrong', '/wrong'), routeTo('c')])] }]),
    )
    const port = near.port('out')
    expect(await ask(port, '/', { method: 'POST', body: 'secret' })).toMatchObject({ status: 200, body: 'hello' })
    expect(up.requests[0]!.headers['x-forwarded-client-cert']).toContain(`URI=${alice}`)
    const wrong = await ask(port, '/wrong')
    expect(wrong.status).toBe(503)
    expect(wrong.body).toContain('remote connection failure')
    expect(up.requests).toHaveLength(1)
  })

  it('serves a rotated certificate to new connections, and answers none before the first has come', async () => {
    const up = await upstream()
    const proxy = worker()
    await proxy.apply(
      authority.trustSecret(),
      cluster('c', [up.port]),
      listener('in', [{ transportSocket: serverTls(false), filters: [hcm()] }]),
    )
    const port = proxy.port('in')
    await expect(askTls(port, {})).rejects.toThrow()
    const serial = () =>
      new Promise<string>((resolve, reject) => {
        const socket = tls.connect({ host: '127.0.0.1', port, ca: authority.pem, checkServerIdentity: () => undefined }, () => {
          resolve(socket.getPeerCertificate().serialNumber)
          socket.destroy()
        })
        socket.on('error', reject)
      })
    await proxy.apply(certificateSecret('default', bobKeys))
    const first = await serial()
    await proxy.apply(certificateSecret('default', await authority.issue(bob)))
    expect(await serial()).not.toBe(first)
  })

  it('reads no more of a client of HTTP/2 that floods, tells it so, and closes', async () => {
    const proxy = worker()
    await proxy.apply(
      certificateSecret('default', bobKeys),
      authority.trustSecret(),
      listener('in', [{ transportSocket: serverTls(false), filters: [hcm()] }]),
    )
    const socket = tls.connect({ host: '127.0.0.1', port: proxy.port('in'), rejectUnauthorized: false, ALPNProtocols: ['h2'] })
    onTestFinished(() => void socket.destroy())
    const heard: Buffer[] = []
    const closed = new Promise<unknown>((resolve) => {
      let failure: unknown = null
      socket.on('error', (error) => {
        failure = error
      })
      socket.on('close', () => resolve(failure))
    })
    socket.on('data', (bytes) => heard.push(bytes))
    await once(socket, 'secureConnect')
    const priority = '\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\0'
    socket.write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0${priority.repeat(200)}`, 'latin1')
    const said = () => Buffer.concat(heard).toString('latin1')
    await until(() => said().includes('\0\0\0\x0binbound_priority_frames_flood'), 'the client is told')
    const more = 32 * 2 ** 20
    socket.write(Buffer.alloc(more))
    expect(await closed).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) })
    expect(proxy.stats.value('http.test.downstream_cx_rx_bytes_total')).toBeLessThan(more / 16)
  })

  it('chooses chains by server name', async () => {
    const up = await upstream()
    const proxy = worker()
    const say = (text: string) =>
      connectionManager([
        {
          match: { pathSpecifier: { $case: 'prefix', value: '/' } },
          action: {
            $case: 'directResponse',
            value: { status: 200, body: { specifier: { $case: 'inlineString', value: text } } },
          },
        },
      ])
    const chain = (serverNames: string[], text: string) => ({
      filterChainMatch: { serverNames },
      transportSocket: serverTls(false),
      filters: [say(text)],
    })
    await proxy.apply(
      certificateSecret('default', bobKeys),
      authority.trustSecret(),
      cluster('c', [up.port]),
      listener('in', [chain(['a.test'], 'exact'), chain(['*.test'], 'wild'), chain([], 'rest')], {
        listenerFilters: [tlsInspector],
      }),
    )
    const port = proxy.port('in')
    expect(await askTls(port, { servername: 'a.test' })).toMatchObject({ body: 'exact' })
    expect(await askTls(port, { servername: 'x.y.test' })).toMatchObject({ body: 'wild' })
    expect(await askTls(port, { servername: 'other' })).toMatchObject({ body: 'rest' })
  })

  it('resumes a session at another worker, with the certificate that the client showed then, unless its trust changed', async () => {
    const up = await upstream()
    const chain = { transportSocket: serverTls(), filters: [hcm()] }
    const ports: number[] = []
    const trust = [authority.trustSecret(), authority.trustSecret(), (await TestAuthority.create()).trustSecret()]
    for (const authorities of trust) {
      const proxy = worker()
      await proxy.apply(certificateSecret('default', bobKeys), authorities, cluster('c', [up.port]), listener('in', [chain]))
      ports.push(proxy.port('in'))
    }
    const first = await visit(ports[0]!)
    expect(first.reused).toBe(false)
    const second = await visit(ports[1]!, first.session)
    expect(second.reused).toBe(true)
    expect(second.answer).toMatch(/^HTTP\/1.1 200/)
    expect(up.requests[1]!.headers['x-forwarded-client-cert']).toBe(up.requests[0]!.headers['x-forwarded-client-cert'])
    await expect(visit(ports[2]!, first.session)).rejects.toThrow()
  })

  it('takes tickets of every key that a secret names, makes them with the first, and none before it has come', async () => {
    const up = await upstream()
    const keys = (...fills: number[]): ResourceUpdate => {
      const keys = fills.map((fill) => ({ specifier: { $case: 'inlineBytes' as const, value: Buffer.alloc(80, fill) } }))
      const secret = Secret.fromPartial({ name: 'tickets', type: { $case: 'sessionTicketKeys', value: { keys } } })
      return { kind: 'secret', name: 'tickets', bytes: Secret.encode(secret).finish() }
    }
    const chain = { transportSocket: serverTls(true, false, 'tickets'), filters: [hcm()] }
    const start = async () => {
      const proxy = worker()
      await proxy.apply(certificateSecret('default', bobKeys), authority.trustSecret(), cluster('c', [up.port]))
      expect(await proxy.apply(listener('in', [chain]))).toEqual([])
      return proxy
    }
    const [old, both, other] = [await start(), await start(), await start()]
    await expect(visit(old.port('in'))).rejects.toThrow()
    expect(await old.apply(keys(1))).toEqual([])
    await both.apply(keys(2, 1))
    await other.apply(keys(3))
    const { session, reused } = await visit(old.port('in'))
    expect(reused).toBe(false)
    const renewed = await visit(both.port('in'), session)
    expect(renewed.reused).toBe(true)
    expect((await visit(other.port('in'), session)).reused).toBe(false)
    expect((await visit(old.port('in'), renewed.session)).reused).toBe(false)
    await old.apply(keys(2))
    expect((await visit(old.port('in'), renewed.session)).reused).toBe(true)
  })

  it('resumes a session with an endpoint, knows who it is then, and logs secrets where it is told to', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-key-log-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const keyLog = join(folder, 'keys')
    const up = await upstream()
    const [near, far] = [worker(), worker()]
    await far.apply(
      certificateSecret('default', bobKeys),
      authority.trustSecret(),
      cluster('c', [up.port]),
      listener('in', [{ transportSocket: serverTls(), filters: [hcm()] }]),
    )
    const route = { ...routeTo('c'), responseHeadersToAdd: [{ header: { key: 'x-peer', value: '%UPSTREAM_PEER_URI_SAN%' } }] }
    await near.apply(
      certificateSecret('default', aliceKeys),
      authority.trustSecret(),
      cluster('c', [far.port('in')], { transportSocket: clientTls([bob], keyLog), maxRequestsPerConnection: 1 }),
      listener('out', [{ filters: [connectionManager([route])] }]),
    )
    for (let i = 0; i < 3; i++) expect(await ask(near.port('out'))).toMatchObject({ status: 200, headers: { 'x-peer': bob } })
    expect(near.stats.value('cluster.c.ssl.handshake')).toBe(3)
    expect(near.stats.value('cluster.c.ssl.session_reused')).toBe(2)
    expect(near.stats.value('cluster.c.ssl.fail_verify_error')).toBe(0)
    expect(readFileSync(keyLog, 'latin1')).toMatch(/^CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}$/m)
    expect(new Set(up.requests.map(({ headers }) => headers['x-forwarded-client-cert'])).size).toBe(1)
  })
})
