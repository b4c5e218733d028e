import { X509Certificate } from 'node:crypto'
import { createCertificate, selfIssuer } from '@weft/identity/certificate'
import { createKeyPair, publicKeyDer } from '@weft/identity/keys'
import { expect, test } from 'vitest'
import { chooseCertificates } from './server-certificates.ts'
import type { TlsCertificatePlan } from './tls-material.ts'

async function certificateOf(commonName: string, ...dns: string[]): Promise<TlsCertificatePlan> {
  const keys = await createKeyPair()
  const spki = publicKeyDer(keys.publicKey)
  const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 60_000)]
  const fields = { subject: { commonName }, spki, names: { dns }, notBefore, notAfter, use: 'workload' } as const
  const leaf = new X509Certificate(createCertificate(fields, selfIssuer(keys.privateKey, spki, { commonName })))
  return {
    cert: Buffer.alloc(0),
    key: Buffer.alloc(0),
    passphrase: undefined,
    leaf,
    uris: [],
    dnsNames: dns,
    ocsp: null,
    signatures: [],
  }
}

test('a client gets the certificate of the name that it asks for, or the first', async () => {
  const a = await certificateOf('first', 'a.test', 'www.a.test')
  const b = await certificateOf('second', '*.b.test', 'a.test')
  const choose = chooseCertificates([a, b], false)
  const chosen = (name: string) => choose(name).map(({ leaf }) => leaf.subject)
  for (const [name, subject] of [
    ['a.test', 'CN=first'],
    ['WWW.A.test', 'CN=first'],
    ['x.b.test', 'CN=second'],
    ['y.x.b.test', 'CN=first'],
    ['b.test', 'CN=first'],
    ['other.test', 'CN=first'],
    ['', 'CN=first'],
  ])
    expect([name, chosen(name ?? '')]).toEqual([name, [subject]])
  expect(chooseCertificates([b, a], true)('other.test')).toEqual([b])
})
