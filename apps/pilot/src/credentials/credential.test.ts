import { expect, test } from 'vitest'
import { serverCertificate } from '../testing/server-certificate.ts'
import { authoritiesSecret, type Credential, certificateSecret, readCredential } from './credential.ts'

const own = await serverCertificate('shop.example')
const other = await serverCertificate('other.example')

function read(entries: Readonly<Record<string, string>>): Credential | undefined {
  return readCredential({ namespace: 'web', name: 'shop' }, (name) =>
    entries[name] === undefined ? undefined : Buffer.from(entries[name]),
  )
}

test.each([
  ['of the kind kubernetes.io/tls', { 'tls.crt': own.chainPem, 'tls.key': own.privateKeyPem, 'ca.crt': own.bundlePem }],
  ['opaque', { cert: own.chainPem, key: own.privateKeyPem, cacert: own.bundlePem }],
])('a secret %s holds a certificate, its key and authorities', (_, entries) => {
  const credential = read(entries)
  expect(credential?.certificate.toString()).toBe(own.chainPem)
  const certificate = credential && certificateSecret('kubernetes://shop', credential)
  expect(certificate?.type).toMatchObject({ $case: 'tlsCertificate', value: { ocspStaple: undefined } })
  const authorities = credential && authoritiesSecret('kubernetes://shop-cacert', credential)
  expect(authorities?.type?.$case).toBe('validationContext')
})

test('authorities may stand alone, and what holds neither is no credential', () => {
  const credential = read({ cacert: own.bundlePem })
  expect(credential && certificateSecret('a', credential)).toBeUndefined()
  expect(credential && authoritiesSecret('a', credential)).toBeDefined()
  expect(read({ password: 'x' })).toBeUndefined()
})

test('the version changes with the content', () => {
  const entries = { 'tls.crt': own.chainPem, 'tls.key': own.privateKeyPem }
  expect(read(entries)?.version).toBe(read(entries)?.version)
  expect(read({ ...entries, 'ca.crt': own.bundlePem })?.version).not.toBe(read(entries)?.version)
})

test.each([
  ['a key without a certificate', { 'tls.key': own.privateKeyPem }, /has a key without a certificate/],
  ['a certificate without its key', { 'tls.crt': own.chainPem }, /has a certificate without its key/],
  ['the key of another', { 'tls.crt': own.chainPem, 'tls.key': other.privateKeyPem }, /not that of its certificate/],
  ['no certificate', { 'tls.crt': 'secret words', 'tls.key': own.privateKeyPem }, /a certificate that is none in PEM/],
  ['no key', { 'tls.crt': own.chainPem, 'tls.key': 'secret words' }, /a key that is none in PEM/],
  ['no authorities', { cacert: 'secret words' }, /authorities that are no certificates in PEM/],
])('a secret with %s is refused by its name, and nothing of it is told', (_, entries, message) => {
  let said = ''
  try {
    read(entries)
  } catch (thrown) {
    said = String(thrown)
  }
  expect(said).toMatch(/the secret web\/shop /)
  expect(said).toMatch(message)
  expect(said).not.toMatch(/secret words|BEGIN/)
})
