import { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { createCertificate, readIssuer, selfIssuer } from '@weft/identity/certificate'
import { createKeyPair, publicKeyDer } from '@weft/identity/keys'
import { expandTrustDomains, tryParseSpiffeId, workloadId } from '@weft/identity/spiffe-id'
import { parseSpiffeBundle } from '@weft/identity/trust-bundle'
import { verifyPeer } from '@weft/identity/verify'
import { array, object, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { casesOf, play, Refusal, strings, table } from './tables.ts'

/** SPIFFE ids, trust domains and bundles. */
export async function spiffeCases(dir: string): Promise<CaseResult[]> {
  return [...makingIds(dir), ...readingIds(dir), ...aliases(dir), ...bundles(dir), ...(await peers(dir))]
}

function makingIds(dir: string): CaseResult[] {
  return casesOf(table(dir, 'spiffe.json', 'TestGenSpiffeURI', 'testCases'), 'SPIFFE id').map(([name, one]) => {
    const trustDomain = typeof one['trustDomain'] === 'string' ? one['trustDomain'] : 'cluster.local'
    const part = (key: string): string => String(one[key] ?? '')
    const expected = one['expectedError'] ?? one['expectedURI'] ?? ''
    return play(
      name,
      expected,
      () => workloadId(trustDomain, part('namespace'), part('serviceAccount')).uri,
      (actual) => (actual instanceof Refusal ? actual.message === one['expectedError'] : actual === one['expectedURI']),
    )
  })
}

/**
 * Istio reads an identity by its slashes alone; the SPIFFE-ID specification (section 2.2) wants empty path segments refused, and so
 * do we.
 */
function readingIds(dir: string): CaseResult[] {
  return casesOf(table(dir, 'spiffe.json', 'TestIdentity', 'cases'), 'identity').map(([name, one]) => {
    const input = text(one['input'], 'input')
    const isForbidden = /[^:/]\/\/|\/$/.test(input)
    const wanted = one['expected'] === null || isForbidden ? undefined : object(one['expected'] ?? null, 'expected')
    const expected = wanted === undefined ? undefined : [wanted['TrustDomain'], wanted['Namespace'], wanted['ServiceAccount']]
    return play(
      `${name} ${input}`,
      expected,
      () => {
        const id = tryParseSpiffeId(input)
        return id?.workload === undefined ? undefined : [id.trustDomain, id.workload.namespace, id.workload.serviceAccount]
      },
      (actual) => isDeepStrictEqual(actual, expected),
    )
  })
}

function aliases(dir: string): CaseResult[] {
  return casesOf(table(dir, 'spiffe.json', 'TestExpandWithTrustDomains', 'testCases'), 'trust domain aliases').map(
    ([name, one]) => {
      const expected = Object.keys(object(one['want'] ?? null, 'want')).sort()
      return play(
        name,
        expected,
        () => expandTrustDomains(strings(one['spiffeURI']), strings(one['trustDomains'])).sort(),
        (actual) => isDeepStrictEqual(actual, expected),
      )
    },
  )
}

/** What a bundle endpoint's body gives; the cases about the connection itself are not about bundles. */
function bundles(dir: string): CaseResult[] {
  return casesOf(table(dir, 'spiffe.json', 'TestRetrieveSpiffeBundleRootCerts', 'cases'), 'bundle')
    .filter(([, one]) => one['statusCode'] === 'StatusOK' && one['extraCerts'] !== null)
    .map(([name, one]) => {
      const expected = one['errContains'] ?? one['wantNumCerts']
      return play(
        name,
        expected,
        () => parseSpiffeBundle(text(one['body'], 'body')).length,
        (actual) =>
          actual instanceof Refusal ? actual.message.includes(String(one['errContains'])) : actual === one['wantNumCerts'],
      )
    })
}

/** A peer of foo.domain.com under root 1, against the roots that each case maps to each trust domain. */
async function peers(dir: string): Promise<CaseResult[]> {
  const now = new Date()
  const make = async (uri: string | undefined, issuer?: ReturnType<typeof readIssuer>) => {
    const keys = await createKeyPair()
    const spki = publicKeyDer(keys.publicKey)
    const subject = uri === undefined ? { commonName: 'root' } : {}
    const der = createCertificate(
      {
        subject,
        spki,
        names: uri === undefined ? {} : { uris: [uri] },
        notBefore: new Date(now.getTime() - 60_000),
        notAfter: new Date(now.getTime() + 60_000),
        use: uri === undefined ? 'authority' : 'workload',
      },
      issuer ?? selfIssuer(keys.privateKey, spki, subject),
    )
    return { certificate: new X509Certificate(der), issuer: readIssuer(der, keys.privateKey) }
  }
  const [first, second] = [await make(undefined), await make(undefined)]
  const peer = await make('spiffe://foo.domain.com/ns/foo/sa/default', first.issuer)
  const roots = new Map([
    ['validRootCert', first.certificate],
    ['validRootCert2', second.certificate],
  ])
  const value = table(dir, 'spiffe.json', 'TestGetGeneralCertPoolAndVerifyPeerCert', 'testCases')
  return casesOf(value, 'peer').map(([name, one]) => {
    const bundlesByDomain = new Map(
      Object.entries(object(one['certMap'] ?? null, 'certMap')).map(([domain, list]) => [
        domain,
        array(list, domain).flatMap((ident) => roots.get(text(object(ident, 'root')['$ident'], 'root')) ?? []),
      ]),
    )
    // Go's package writes x509: before its messages.
    const error = typeof one['errContains'] === 'string' ? one['errContains'].replace('x509: ', '') : undefined
    return play(
      name,
      error ?? 'verified',
      () => verifyPeer([peer.certificate], bundlesByDomain, now).uri,
      (actual) => (actual instanceof Refusal ? error !== undefined && actual.message.includes(error) : error === undefined),
    )
  })
}
