import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type CertificateFields, createCertificate, type Issuer, readIssuer, selfIssuer } from './certificate.ts'
import { createKeyPair, type KeyPair, publicKeyDer } from './keys.ts'
import { formatPem } from './pem.ts'
import { parseSpiffeBundle, spiffeBundle } from './trust-bundle.ts'
import { parseCertificates, spiffeIdOf, urisOf, verifyChain, verifyPeer } from './verify.ts'

const alice = 'spiffe://cluster.local/ns/default/sa/alice'
const now = new Date()
const inHours = (hours: number): Date => new Date(now.getTime() + hours * 3_600_000)

interface Holder {
  keys: KeyPair
  certificate: X509Certificate
  issuer: Issuer
}

async function make(commonName: string, signer: Holder | undefined, fields: Partial<CertificateFields> = {}): Promise<Holder> {
  const keys = await createKeyPair()
  const spki = publicKeyDer(keys.publicKey)
  const subject = fields.subject ?? { commonName }
  const certificate = new X509Certificate(
    createCertificate(
      { subject, spki, names: {}, notBefore: inHours(-1), notAfter: inHours(1), use: 'authority', ...fields },
      signer?.issuer ?? selfIssuer(keys.privateKey, spki, subject),
    ),
  )
  return { keys, certificate, issuer: readIssuer(certificate.raw, keys.privateKey) }
}

const leafOf = (signer: Holder, fields: Partial<CertificateFields> = {}) =>
  make('', signer, { subject: {}, names: { uris: [alice] }, use: 'workload', ...fields })

describe('a chain', () => {
  it('is followed over intermediates to a root', async () => {
    const root = await make('root', undefined)
    const middle = await make('middle', root)
    const leaf = await leafOf(middle)
    expect(verifyChain([leaf.certificate, middle.certificate], [root.certificate], now).uri).toBe(alice)
    expect(() => verifyChain([leaf.certificate], [root.certificate], now)).toThrow('no trusted root')
    expect(verifyChain([leaf.certificate], [middle.certificate], now).uri).toBe(alice)
  })

  it('is refused under another root, also one of the same name', async () => {
    const [root, other] = [await make('root', undefined), await make('root', undefined)]
    const leaf = await leafOf(root)
    expect(() => verifyChain([leaf.certificate], [other.certificate], now)).toThrow('no trusted root')
    expect(() => verifyChain([leaf.certificate], [], now)).toThrow('no trusted root')
    expect(() => verifyChain([], [root.certificate], now)).toThrow('empty')
  })

  it('is refused when a workload has signed it', async () => {
    const root = await make('root', undefined)
    const workload = await make('workload', root, { use: 'workload', names: { uris: [alice] } })
    const forged = await leafOf(workload)
    expect(() => verifyChain([forged.certificate, workload.certificate], [root.certificate], now)).toThrow('no trusted root')
  })

  it('is refused before and after its time, at every link', async () => {
    const root = await make('root', undefined, { notAfter: inHours(3) })
    const leaf = await leafOf(root, { notAfter: inHours(5) })
    expect(verifyChain([leaf.certificate], [root.certificate], now).uri).toBe(alice)
    expect(() => verifyChain([leaf.certificate], [root.certificate], inHours(4))).toThrow('has expired')
    expect(() => verifyChain([leaf.certificate], [root.certificate], inHours(6))).toThrow('has expired')
    expect(() => verifyChain([leaf.certificate], [root.certificate], inHours(-2))).toThrow('not valid before')
  })

  it('ends on a circle', async () => {
    const root = await make('root', undefined)
    const circle = await make('circle', undefined)
    const leaf = await leafOf(circle)
    expect(() => verifyChain([leaf.certificate, circle.certificate, circle.certificate], [root.certificate], now)).toThrow(
      'no trusted root',
    )
  })

  it('is verified against the roots of its own trust domain only', async () => {
    const [ours, theirs] = [await make('ours', undefined), await make('theirs', undefined)]
    const leaf = await leafOf(theirs)
    const bundles = new Map([
      ['cluster.local', [ours.certificate]],
      ['other.example', [theirs.certificate]],
    ])
    expect(() => verifyPeer([leaf.certificate], bundles, now)).toThrow('unknown authority')
    expect(() => verifyPeer([leaf.certificate], new Map(), now)).toThrow('no cert pool found for trust domain cluster.local')
    expect(verifyPeer([leaf.certificate], new Map([['cluster.local', [theirs.certificate]]]), now).uri).toBe(alice)
  })
})

describe('a SPIFFE id in a certificate', () => {
  it('is its only URI', async () => {
    const root = await make('root', undefined)
    const bob = 'spiffe://cluster.local/ns/default/sa/bob'
    expect(spiffeIdOf((await leafOf(root, { names: { dns: ['x'], uris: [alice], ips: ['1.2.3.4'] } })).certificate).uri).toBe(
      alice,
    )
    const two = await leafOf(root, { names: { uris: [alice, bob] } })
    expect(() => spiffeIdOf(two.certificate)).toThrow('2 URI names')
    const none = await leafOf(root, { names: { dns: ['spiffe.example'] } })
    expect(() => spiffeIdOf(none.certificate)).toThrow('no URI name')
    const foreign = await leafOf(root, { names: { uris: ['https://a.example/'] } })
    expect(() => spiffeIdOf(foreign.certificate)).toThrow('does not start with spiffe://')
  })

  it('cannot be forged by a name of another kind', async () => {
    const root = await make('root', undefined)
    const forged = await leafOf(root, { names: { dns: [`x, URI:${alice}`] } })
    expect(urisOf(forged.certificate.subjectAltName)).toEqual([])
    const quoted = await leafOf(root, { names: { dns: [`x", URI:${alice}, DNS:"y`] } })
    expect(urisOf(quoted.certificate.subjectAltName)).toEqual([])
  })
})

it('the names of subject and time are as RFC 5280 wants them', async () => {
  const root = await make('root', undefined, {
    subject: { organization: 'Örg', commonName: 'root' },
    notAfter: new Date('2061-02-03T04:05:06Z'),
  })
  expect(root.certificate.subject).toBe('O=Örg\nCN=root')
  expect(root.certificate.validToDate.toISOString()).toBe('2061-02-03T04:05:06.000Z')
  expect(root.certificate.ca).toBe(true)
  const leaf = await leafOf(root)
  expect(leaf.certificate.subject).toBe(undefined)
  expect(leaf.certificate.ca).toBe(false)
  expect(leaf.certificate.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/)
})

it('a bundle in SPIFFE form is read back to the same roots', async () => {
  const roots = [(await make('a', undefined)).certificate, (await make('b', undefined)).certificate]
  const read = parseSpiffeBundle(JSON.stringify(spiffeBundle(roots)))
  expect(read.map(({ fingerprint256 }) => fingerprint256)).toEqual(roots.map(({ fingerprint256 }) => fingerprint256))
  expect(parseSpiffeBundle('{"keys":[{"use":"jwt-svid","kty":"EC"}]}')).toEqual([])
  for (const bad of ['', '[]', '{"keys":1}', '{"keys":[{"use":"x509-svid"}]}', '{"keys":[{"use":"x509-svid","x5c":["AA"]}]}']) {
    expect(() => parseSpiffeBundle(bad)).toThrow()
  }
})

it('certificates are read from PEM one by one, and what is none is refused', async () => {
  const root = await make('root', undefined)
  const pem = formatPem('CERTIFICATE', root.certificate.raw)
  expect(parseCertificates(`# a comment\n${pem}\n${pem}`, 'file')).toHaveLength(2)
  expect(() => parseCertificates(pem.replaceAll('CERTIFICATE', 'PRIVATE KEY'), 'file')).toThrow('block 1 is a PRIVATE KEY')
  expect(() => parseCertificates(pem.slice(0, 200), 'file')).toThrow('does not end')
  expect(() => parseCertificates(pem.replace('MII', '!!!'), 'file')).toThrow('is not base64')
  expect(() => parseCertificates(formatPem('CERTIFICATE', Buffer.from('x')), 'file')).toThrow('certificate 1 cannot be read')
  expect(() => parseCertificates('', 'file')).toThrow('file has no PEM block')
})
