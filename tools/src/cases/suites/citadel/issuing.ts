import { X509Certificate } from 'node:crypto'
import { createAuthority } from '@weft/citadel/authority/authority'
import { issueForKey } from '@weft/citadel/issue/issuer'
import { lifetimeSeconds } from '@weft/citadel/issue/policy'
import { createCertificate, selfIssuer } from '@weft/identity/certificate'
import { createCertificateRequest, parseCertificateRequest } from '@weft/identity/certificate-request'
import { createKeyPair, publicKeyDer } from '@weft/identity/keys'
import { parseSpiffeId } from '@weft/identity/spiffe-id'
import { spiffeIdOf } from '@weft/identity/verify'
import { optionalObject } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { casesOf, durationMs, play, Refusal, table } from './tables.ts'

const identity = parseSpiffeId('spiffe://example.com/ns/foo/sa/bar')

/** What the authority signs, for how long at most. */
export async function issuingCases(dir: string): Promise<CaseResult[]> {
  const hour = await authorityFor(3_600_000)
  const year = await authorityFor(365 * 24 * 3_600_000)
  const requests = {
    ec: parseCertificateRequest(createCertificateRequest(await createKeyPair())),
    rsa: parseCertificateRequest(createCertificateRequest(await createKeyPair('rsa-2048'))),
  }
  // Citadel signs no other authorities, so the cases of that are not ours.
  const signing = casesOf(table(dir, 'ca.json', 'TestSignCSR', 'cases'), 'signing')
    .filter(([, one]) => one['forCA'] === false)
    .map(([name, one]) => {
      const isRsa = optionalObject(one['certOpts'], 'certOpts')['RSAKeySize'] !== undefined
      const [requested, most] = [durationMs(one['requestedTTL']) / 1_000, durationMs(one['maxTTL']) / 1_000]
      const error = one['expectedError'] === '' ? undefined : one['expectedError']
      return play(
        name,
        error ?? identity.uri,
        () => {
          const seconds = lifetimeSeconds(requested, { defaultTtlSeconds: most, maxTtlSeconds: most })
          const { chain } = issueForKey(year, identity, requests[isRsa ? 'rsa' : 'ec'].publicKey.spki, seconds)
          return spiffeIdOf(new X509Certificate(chain[0] ?? '')).uri
        },
        (actual) => (actual instanceof Refusal ? actual.message === error : error === undefined && actual === identity.uri),
      )
    })
  const clamping = casesOf(table(dir, 'generate_cert.json', 'TestGenCertFromCSRWithTTLClamping', 'cases'), 'clamping').map(
    ([name, one]) => {
      const ttlSeconds = durationMs(one['ttl']) / 1_000
      return play(
        name,
        one['expectClamped'],
        () => issueForKey(hour, identity, requests.ec.publicKey.spki, ttlSeconds).notAfter <= hour.certificate.validToDate,
        (actual) => {
          const { notAfter } = issueForKey(hour, identity, requests.ec.publicKey.spki, ttlSeconds)
          const isClamped = notAfter.getTime() === hour.certificate.validToDate.getTime()
          return actual === true && isClamped === (one['expectClamped'] === true)
        },
      )
    },
  )
  return [...signing, ...clamping]
}

async function authorityFor(lifeMs: number) {
  const keys = await createKeyPair()
  const spki = publicKeyDer(keys.publicKey)
  const subject = { organization: 'TestOrg' }
  const der = createCertificate(
    { subject, spki, names: {}, notBefore: new Date(), notAfter: new Date(Date.now() + lifeMs), use: 'authority' },
    selfIssuer(keys.privateKey, spki, subject),
  )
  const certificate = new X509Certificate(der)
  return createAuthority({ key: keys.privateKey, certificate, intermediates: [], roots: [certificate] }, 'root')
}
