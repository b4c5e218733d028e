import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { credentials, Metadata, Server } from '@grpc/grpc-js'
import {
  IstioCAServiceClient,
  IstioCertificateServiceClient,
  IstioCertificateServiceService,
} from '@weft/contracts/istio/v1/auth/ca'
import { createCertificateRequest } from '@weft/identity/certificate-request'
import type { Identity } from '@weft/identity/client'
import { createKeyPair } from '@weft/identity/keys'
import { peerIdentity } from '@weft/identity/peer-identity'
import { parseSpiffeId } from '@weft/identity/spiffe-id'
import { parseCertificates, spiffeIdOf } from '@weft/identity/verify'
import { WeftError } from '@weft/service/errors'
import { unary } from '@weft/service/grpc'
import { until } from '@weft/service/testing/until'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Joined, joinAs, startTestCitadel, type TestCitadel, testFolder } from './testing.ts'

const run = promisify(execFile)
const alice = 'spiffe://cluster.local/ns/default/sa/alice'
const bob = 'spiffe://cluster.local/ns/default/sa/bob'

async function citadelIn(folder: string, flags?: Parameters<typeof startTestCitadel>[1]): Promise<TestCitadel> {
  const citadel = await startTestCitadel(folder, flags)
  onTestFinished(() => citadel.lifecycle.stop('end of test'))
  return citadel
}

async function joined(folder: string, citadel: Pick<TestCitadel, 'grpc' | 'rootCertFile'>, token: string): Promise<Joined> {
  const workload = await joinAs(folder, citadel, token)
  onTestFinished(() => workload.lifecycle.stop('end of test'))
  return workload
}

async function ask(citadel: TestCitadel, token: string | undefined, csr: string, ttlSeconds = 0): Promise<string[]> {
  const client = new IstioCertificateServiceClient(citadel.grpc, credentials.createSsl(await readFile(citadel.rootCertFile)))
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
  try {
    const request = { csr, validityDuration: ttlSeconds, metadata: undefined }
    return (await unary(client.createCertificate.bind(client), request, 5_000, metadata)).certChain
  } finally {
    client.close()
  }
}

async function csrFor(...uris: string[]): Promise<string> {
  return createCertificateRequest(await createKeyPair(), { uris })
}

describe('a workload that joins', () => {
  it('gets a certificate for the identity of its token that openssl verifies', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder)
    const { identity, readiness } = await joined(folder, citadel, await citadel.mint(alice))
    const material = await identity.ready()
    expect(material.id).toBe(alice)
    expect(readiness.waiting()).toEqual({})
    const chainFile = join(folder, 'chain.pem')
    await writeFile(chainFile, material.chainPem)
    for (const purpose of ['sslclient', 'sslserver']) {
      const { stdout } = await run('openssl', [
        'verify',
        '-x509_strict',
        '-purpose',
        purpose,
        '-CAfile',
        citadel.rootCertFile,
        chainFile,
      ])
      expect(stdout).toContain(': OK')
    }
    const { stdout: text } = await run('openssl', ['x509', '-in', chainFile, '-noout', '-text'])
    expect(text).toMatch(/Subject: *\n/)
    expect(text).toContain(`X509v3 Subject Alternative Name: critical\n                URI:${alice}`)
    expect(text).toContain('TLS Web Server Authentication, TLS Web Client Authentication')
    expect(text).toContain('CA:FALSE')
  })

  it('waits, not ready, while Citadel is not up, and is ready soon after it is', async () => {
    const folder = await testFolder()
    const first = await citadelIn(folder, { grpcAddress: '127.0.0.1:0' })
    const token = await first.mint(alice)
    await first.lifecycle.stop('not up yet')
    const { identity, readiness } = await joined(folder, first, token)
    await until(() => JSON.stringify(readiness.waiting()).includes('no certificate yet'), 'a failed attempt')
    expect(identity.current()).toBeUndefined()
    await citadelIn(folder, { grpcAddress: first.grpc })
    await identity.ready()
    expect(readiness.waiting()).toEqual({})
  })

  it('keeps root and tokens over a restart of Citadel', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder)
    const token = await citadel.mint(alice)
    const root = await readFile(citadel.rootCertFile, 'utf8')
    const again = await citadel.restart()
    onTestFinished(() => again.lifecycle.stop('end of test'))
    expect(await readFile(again.rootCertFile, 'utf8')).toBe(root)
    const { identity } = await joined(folder, again, token)
    expect((await identity.ready()).id).toBe(alice)
  })

  it('renews by its certificate when the join token has gone', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder, { workloadTtl: 4 })
    const { identity, tokenFile } = await joined(folder, citadel, await citadel.mint(alice))
    const first = await identity.ready()
    await writeFile(tokenFile, 'gone')
    await until(() => identity.current()?.notAfter !== first.notAfter, 'a renewal', 10_000)
    expect(identity.current()?.id).toBe(alice)
    expect(await citadel.metric('weft_citadel_certificates_issued_total{api="certificate",proof="certificate"}')).toBeGreaterThan(
      0,
    )
  })

  it('keeps the old certificate while renewal fails', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder, { workloadTtl: 3 })
    const { identity, readiness } = await joined(folder, citadel, await citadel.mint(alice))
    const first = await identity.ready()
    await citadel.lifecycle.stop('down')
    await until(() => Date.now() > first.notAfter.getTime() - 300, 'expiry')
    expect(identity.current()).toBe(first)
    expect(readiness.waiting()).toEqual({})
    await until(() => /has expired/.test(readiness.waiting()['identity'] ?? ''), 'it is told that the certificate has expired')
    expect(identity.current()).toBe(first)
  })
})

describe('rotation', () => {
  it('loses no call on mTLS connections while certificates of both ends change', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder, { workloadTtl: 4 })
    const [server, client] = await Promise.all([
      citadel.mint(alice).then((token) => joined(folder, citadel, token)),
      citadel.mint(bob).then((token) => joined(folder, citadel, token)),
    ])
    const address = await startEcho(server.identity, 'required')
    const established = echoClient(address, client.identity.channelCredentials(alice))
    let changes = 0
    const count = (): void => {
      changes += 1
    }
    client.identity.onChange(count)
    server.identity.onChange(count)
    const seen = new Set<string>()
    let calls = 0
    await until(
      async () => {
        const fresh = echoClient(address, client.identity.channelCredentials([alice]))
        seen.add(await established.call())
        seen.add(await fresh.call())
        fresh.close()
        calls += 2
        return changes >= 4
      },
      'four certificates',
      25_000,
    )
    expect([...seen]).toEqual([bob])
    expect(calls).toBeGreaterThanOrEqual(4)
  }, 40_000)

  it('refuses a server that is not the expected one, and a client without certificate', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder)
    const [server, client] = await Promise.all([
      citadel.mint(alice).then((token) => joined(folder, citadel, token)),
      citadel.mint(bob).then((token) => joined(folder, citadel, token)),
    ])
    const address = await startEcho(server.identity, 'required')
    // grpc-js tells the refusal itself, or that the connection it refused never stood.
    await expect(echoClient(address, client.identity.channelCredentials(bob)).call()).rejects.toThrow(
      /which is not expected there|No connection established/,
    )
    await expect(echoClient(address, credentials.createSsl(await readFile(citadel.rootCertFile))).call()).rejects.toThrow()
    const optional = await startEcho(server.identity, 'optional')
    const plain = credentials.createSsl(await readFile(citadel.rootCertFile), null, null, {
      checkServerIdentity: () => undefined,
    })
    expect(await echoClient(optional, plain).call()).toBe('nobody')
    expect(
      await echoClient(
        optional,
        client.identity.channelCredentials((id) => id === alice),
      ).call(),
    ).toBe(bob)
  })

  it('does not take a certificate of another root for an identity', async () => {
    const [folder, otherFolder] = [await testFolder(), await testFolder()]
    const [citadel, other] = [await citadelIn(folder), await citadelIn(otherFolder)]
    const server = await joined(folder, citadel, await citadel.mint(alice))
    const stranger = await joined(otherFolder, other, await other.mint(bob))
    const foreign = await stranger.identity.ready()
    const address = await startEcho(server.identity, 'optional')
    const shown = credentials.createSsl(
      await readFile(citadel.rootCertFile),
      Buffer.from(foreign.privateKeyPem),
      Buffer.from(foreign.chainPem),
      { checkServerIdentity: () => undefined },
    )
    expect(await echoClient(address, shown).call()).toBe('nobody')
  })
})

describe('who is refused', () => {
  const unauthenticated = (text: RegExp) => (thrown: unknown) => {
    expect(thrown).toBeInstanceOf(WeftError)
    const error = WeftError.from(thrown)
    expect(error.code).toBe('unauthenticated')
    expect(error.message).toMatch(text)
    expect(error.message).toMatch(/weft ca token/)
  }

  it('a caller without proof, with a token that is none, expired, changed, or of another Citadel', async () => {
    const [folder, otherFolder] = [await testFolder(), await testFolder()]
    const [citadel, other] = [await citadelIn(folder), await citadelIn(otherFolder)]
    const csr = await csrFor(alice)
    await ask(citadel, undefined, csr).catch(unauthenticated(/neither a join token nor a client certificate/))
    await ask(citadel, 'nonsense', csr).catch(unauthenticated(/no JSON Web Token/))
    await ask(citadel, await other.mint(alice), csr).catch(unauthenticated(/not minted by this Citadel/))
    const good = await citadel.mint(alice)
    const [head, , signature] = good.split('.')
    const body = Buffer.from(JSON.stringify({ ...claimsOf(good), sub: bob })).toString('base64url')
    await ask(citadel, `${head}.${body}.${signature}`, await csrFor(bob)).catch(unauthenticated(/not minted by this Citadel/))
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url')
    await ask(citadel, `${none}.${good.split('.')[1]}.AA`, csr).catch(unauthenticated(/not minted by this Citadel/))
    const short = await citadel.mint(alice, 1)
    await until(() => Number(claimsOf(short)['exp']) * 1000 <= Date.now(), 'expiry')
    await ask(citadel, short, csr).catch(unauthenticated(/has expired at/))
    await expect(ask(citadel, good, csr)).resolves.toHaveLength(2)
    expect(await citadel.metric('weft_citadel_requests_refused_total{api="certificate",reason="unauthenticated"}')).toBe(6)
    expect.assertions(6 * 4 + 2)
  })

  it('a request for another identity, for more names, or for too long a life', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder, { workloadTtl: 60, maxWorkloadTtl: 7200 })
    const token = await citadel.mint(alice)
    const keys = await createKeyPair()
    await expect(ask(citadel, token, await csrFor(bob))).rejects.toThrow(`asks for ${bob}, but the caller is ${alice}`)
    await expect(ask(citadel, token, await csrFor(alice, alice))).rejects.toThrow('2 URI names instead of one')
    await expect(ask(citadel, token, createCertificateRequest(keys, { uris: [alice], dns: ['a.example'] }))).rejects.toThrow(
      'names other than',
    )
    const ofService = parseSpiffeId(alice).workload
    const own = `${ofService?.serviceAccount}.${ofService?.namespace}.svc`
    const [named = ''] = await ask(citadel, token, createCertificateRequest(keys, { uris: [alice], dns: [own] }))
    expect(new X509Certificate(named).subjectAltName).toBe(`URI:${alice}, DNS:${own}`)
    await expect(ask(citadel, token, createCertificateRequest(keys, { ips: ['10.0.0.1'] }))).rejects.toThrow('names other than')
    await expect(ask(citadel, token, await csrFor(alice), 10_800)).rejects.toThrow(
      'requested TTL 3h0m0s is greater than the max allowed TTL 2h0m0s',
    )
    await expect(ask(citadel, token, await csrFor(alice), -1)).rejects.toThrow('is not a lifetime')
    await expect(ask(citadel, token, 'no request')).rejects.toThrow('has no PEM block')
    const [leaf = ''] = await ask(citadel, token, createCertificateRequest(keys), 7200)
    expect(spiffeIdOf(new X509Certificate(leaf)).uri).toBe(alice)
  })

  it('an identity that asks too often, while another is served', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder, { csrRate: 1, csrBurst: 3 })
    const token = await citadel.mint(alice)
    const csr = await csrFor(alice)
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => ask(citadel, token, csr)))
    const refusals = results.filter((result) => result.status === 'rejected').map(({ reason }) => WeftError.from(reason))
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThanOrEqual(3)
    expect(refusals.length).toBeGreaterThanOrEqual(3)
    for (const refusal of refusals) expect(refusal.code).toBe('resource_exhausted')
    await expect(ask(citadel, await citadel.mint(bob), await csrFor(bob))).resolves.toHaveLength(2)
  })
})

describe('the service of Istio 1.0', () => {
  it('answers with certificate and chain, and tells a bad request in its status', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder)
    const client = new IstioCAServiceClient(citadel.grpc, credentials.createSsl(await readFile(citadel.rootCertFile)))
    onTestFinished(() => client.close())
    const metadata = new Metadata()
    metadata.set('authorization', `Bearer ${await citadel.mint(alice)}`)
    const handle = (csr: string, requestedTtlMinutes = 30) =>
      unary(
        client.handleCsr.bind(client),
        { csrPem: Buffer.from(csr), nodeAgentCredential: Buffer.alloc(0), credentialType: '', requestedTtlMinutes },
        5_000,
        metadata,
      )
    const good = await handle(await csrFor(alice))
    expect(good.isApproved).toBe(true)
    const leaf = new X509Certificate(good.signedCert)
    expect(spiffeIdOf(leaf).uri).toBe(alice)
    expect(Math.round((leaf.validToDate.getTime() - Date.now()) / 60_000)).toBe(30)
    expect(leaf.verify(new X509Certificate(good.certChain).publicKey)).toBe(true)
    const bad = await handle(await csrFor(bob))
    expect(bad.isApproved).toBe(false)
    expect(bad.status?.code).toBe(7)
    expect(bad.status?.message).toContain(bob)
    metadata.remove('authorization')
    await expect(handle(await csrFor(alice))).rejects.toThrow('neither a join token')
  })
})

describe('what Citadel keeps', () => {
  it('has its keys and tokens readable by their owner alone', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder)
    for (const name of ['root-key.pem', 'token-key.pem', 'operator.token']) {
      expect((await stat(join(citadel.dataDir, name))).mode & 0o777).toBe(0o600)
    }
    expect(parseCertificates(await readFile(citadel.rootCertFile, 'utf8'), 'root')).toHaveLength(1)
  })

  it('encrypts the root key with a passphrase and does not start without it', async () => {
    const folder = await testFolder()
    process.env['WEFT_CA_PASSPHRASE'] = 'correct horse'
    onTestFinished(() => void delete process.env['WEFT_CA_PASSPHRASE'])
    const citadel = await citadelIn(folder)
    expect(await readFile(join(citadel.dataDir, 'root-key.pem'), 'utf8')).toContain('ENCRYPTED')
    const again = await citadel.restart()
    await again.lifecycle.stop('next')
    process.env['WEFT_CA_PASSPHRASE'] = 'wrong'
    await expect(startTestCitadel(folder)).rejects.toThrow('does not open with this passphrase')
    delete process.env['WEFT_CA_PASSPHRASE']
    await expect(startTestCitadel(folder)).rejects.toThrow('there is no passphrase')
  })

  it('refuses to start on half a root instead of making a new one', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder)
    await citadel.lifecycle.stop('next')
    await writeFile(join(citadel.dataDir, 'root-cert.pem'), 'broken')
    await expect(startTestCitadel(folder)).rejects.toThrow('has no PEM block')
    await run('rm', [join(citadel.dataDir, 'root-cert.pem')])
    await expect(startTestCitadel(folder)).rejects.toThrow('one of root-key.pem and root-cert.pem is missing')
  })
})

describe('the admin server', () => {
  it('serves the trust bundle in both forms and the key of the tokens', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder)
    const pem = await (await fetch(`${citadel.admin}/v1/root.pem`)).text()
    expect(pem).toBe(await readFile(citadel.rootCertFile, 'utf8'))
    const bundle: unknown = await (await fetch(`${citadel.admin}/v1/bundle`)).json()
    expect(bundle).toMatchObject({
      keys: [{ use: 'x509-svid', kty: 'EC', x5c: [new X509Certificate(pem).raw.toString('base64')] }],
    })
    expect(await (await fetch(`${citadel.admin}/v1/jwks`)).json()).toMatchObject({ keys: [{ alg: 'ES256' }] })
  })

  it('mints tokens for the operator only, for workloads of its trust domain only', async () => {
    const folder = await testFolder()
    const citadel = await citadelIn(folder)
    const operator = (await readFile(join(citadel.dataDir, 'operator.token'), 'utf8')).trim()
    const post = (authorization: string, body: unknown) =>
      fetch(`${citadel.admin}/v1/tokens`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const tokens = [{ identity: alice, ttlSeconds: 60 }]
    expect((await post('', { tokens })).status).toBe(401)
    expect((await post('Bearer wrong', { tokens })).status).toBe(401)
    expect((await post(`Bearer ${operator}`, { tokens: [{ identity: alice }] })).status).toBe(400)
    expect((await post(`Bearer ${operator}`, { tokens: [] })).status).toBe(400)
    const foreign = await post(`Bearer ${operator}`, {
      tokens: [{ identity: 'spiffe://other.example/ns/a/sa/b', ttlSeconds: 60 }],
    })
    expect(foreign.status).toBe(400)
    expect(await foreign.text()).toContain('tokens.0.identity')
    expect((await post(`Bearer ${operator}`, { tokens })).status).toBe(200)
  })
})

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

/** A server that answers with the identity of its caller. It starts with a certificate: without one it closes connections. */
async function startEcho(identity: Identity, clientCertificate: 'required' | 'optional'): Promise<string> {
  await identity.ready()
  const server = new Server()
  server.addService(IstioCertificateServiceService, {
    createCertificate: (
      call: Parameters<typeof peerIdentity>[0],
      callback: (error: null, response: { certChain: string[] }) => void,
    ) => callback(null, { certChain: [peerIdentity(call) ?? 'nobody'] }),
  })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', identity.serverCredentials(clientCertificate), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  onTestFinished(() => server.forceShutdown())
  return `127.0.0.1:${port}`
}

function echoClient(address: string, channelCredentials: Parameters<typeof credentials.combineChannelCredentials>[0]) {
  const client = new IstioCertificateServiceClient(address, channelCredentials)
  onTestFinished(() => client.close())
  return {
    call: async () =>
      (await unary(client.createCertificate.bind(client), { csr: '', validityDuration: 0, metadata: undefined }, 5_000))
        .certChain[0] ?? '',
    close: () => client.close(),
  }
}
