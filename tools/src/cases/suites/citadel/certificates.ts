import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import { type CertificateFields, createCertificate, type Issuer, readIssuer, selfIssuer } from '@weft/identity/certificate'
import { createCertificateRequest, parseCertificateRequest } from '@weft/identity/certificate-request'
import { createKeyPair, type KeyKind, type KeyPair, publicKeyDer } from '@weft/identity/keys'
import { readSubjectNames, writeSubjectNames } from '@weft/identity/subject-names'
import { type JsonObject, optionalObject, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { casesOf, durationMs, goTime, play, Refusal, table } from './tables.ts'

/** Names, requests and certificates as they are assembled and read again. */
export async function certificateCases(dir: string): Promise<CaseResult[]> {
  const keys = { 'ec-p256': await createKeyPair(), 'rsa-2048': await createKeyPair('rsa-2048') }
  return [...subjectNames(dir), ...requests(dir, keys), ...workloads(dir, keys), ...expiry(dir, keys['ec-p256'])]
}

type Keys = Record<KeyKind, KeyPair>

function subjectNames(dir: string): CaseResult[] {
  const built = casesOf(table(dir, 'san.json', 'TestBuildSubjectAltNameExtension', 'testCases'), 'subjectAltName').map(
    ([name, one]) => {
      const expected = { ...namesOf(text(one['hosts'], 'hosts')), others: 0 }
      return play(
        name,
        expected,
        () => readSubjectNames(writeSubjectNames(expected)),
        (actual) => isDeepStrictEqual(actual, expected),
      )
    },
  )
  const broken = casesOf(table(dir, 'san.json', 'TestExtractIDsFromSANWithError', 'testCases'), 'subjectAltName').map(
    ([name, one]) =>
      play(
        name,
        'refused',
        () => readSubjectNames(Buffer.from(String(optionalObject(one['ext'], 'ext')['Value'] ?? ''))),
        (actual) => actual instanceof Refusal,
      ),
  )
  return [...built, ...broken]
}

function requests(dir: string, keys: Keys): CaseResult[] {
  return casesOf(table(dir, 'generate_csr.json', 'TestGenCSR', 'cases'), 'request')
    .filter(([, one]) => one['err'] === undefined)
    .map(([name, one]) => {
      const options = optionalObject(one['csrOptions'], 'csrOptions')
      const names = namesOf(text(options['Host'], 'Host'))
      return play(
        name,
        names,
        () => parseCertificateRequest(createCertificateRequest(keys[kindOf(options)], names)).names,
        (actual) => isDeepStrictEqual(actual, { ...names, others: 0 }),
      )
    })
}

/** Certificates for client and server; the mesh issues no others. */
function workloads(dir: string, keys: Keys): CaseResult[] {
  return casesOf(table(dir, 'generate_cert.json', 'TestGenCertKeyFromOptions', 'cases'), 'certificate')
    .filter(([, one]) => {
      const options = optionalObject(one['certOptions'], 'certOptions')
      return options['IsClient'] === true && options['IsServer'] === true && options['IsDualUse'] !== true
    })
    .map(([name, one]) => {
      const options = optionalObject(one['certOptions'], 'certOptions')
      const names = namesOf(text(options['Host'], 'Host'))
      const notBefore = new Date(Math.floor(Date.now() / 1_000) * 1_000)
      const notAfter = new Date(notBefore.getTime() + 3_600_000)
      const root = rootOf(keys[kindOf(options)])
      const holder = keys[kindOf(options)]
      const expected = {
        names: { ...names, others: 0 },
        ca: false,
        usage: [serverAuth, clientAuth],
        notBefore,
        notAfter,
        signed: true,
        own: true,
      }
      return play(
        name,
        expected,
        () => {
          const certificate = certify(holder, root.issuer, { names, notBefore, notAfter, use: 'workload', subject: {} })
          return {
            names: { ...namesOf(hostsOf(certificate)), others: 0 },
            ca: certificate.ca,
            usage: certificate.keyUsage,
            notBefore: certificate.validFromDate,
            notAfter: certificate.validToDate,
            signed: certificate.verify(root.certificate.publicKey),
            own: certificate.checkPrivateKey(holder.privateKey),
          }
        },
        (actual) => isDeepStrictEqual(actual, expected),
      )
    })
}

const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'

/** A certificate ends when it was told to, over the turn from UTCTime to GeneralizedTime too. */
function expiry(dir: string, keys: KeyPair): CaseResult[] {
  return casesOf(table(dir, 'keycertbundle.json', 'TestExtractRootCertExpiryTimestamp', 'testCases'), 'expiry').flatMap(
    ([name, one]) => {
      const notBefore = goTime(one['notBefore'], new Date())
      // Times that the file writes as a Go expression say nothing here.
      if (notBefore === undefined) return []
      const expected = new Date(notBefore.getTime() + durationMs(one['ttl']))
      return [
        play(
          name,
          expected,
          () => rootOf(keys, notBefore, expected).certificate.validToDate,
          (actual) => isDeepStrictEqual(actual, expected),
        ),
      ]
    },
  )
}

function certify(keys: KeyPair, issuer: Issuer, fields: Omit<CertificateFields, 'spki'>): X509Certificate {
  return new X509Certificate(createCertificate({ ...fields, spki: publicKeyDer(keys.publicKey) }, issuer))
}

function rootOf(
  keys: KeyPair,
  notBefore = new Date(Date.now() - 60_000),
  notAfter = new Date(Date.now() + 7_200_000),
): { certificate: X509Certificate; issuer: Issuer } {
  const subject = { organization: 'MyOrg' }
  const issuer = selfIssuer(keys.privateKey, publicKeyDer(keys.publicKey), subject)
  const certificate = certify(keys, issuer, { subject, names: {}, notBefore, notAfter, use: 'authority' })
  return { certificate, issuer: readIssuer(certificate.raw, keys.privateKey) }
}

function kindOf(options: JsonObject): KeyKind {
  return options['RSAKeySize'] === undefined ? 'ec-p256' : 'rsa-2048'
}

/** A list of hosts as Istio writes one: URIs, addresses and DNS names, by commas. */
function namesOf(hosts: string): { uris: string[]; dns: string[]; ips: string[] } {
  const names: { uris: string[]; dns: string[]; ips: string[] } = { uris: [], dns: [], ips: [] }
  for (const host of hosts.split(',').filter(Boolean)) {
    if (host.includes('://')) names.uris.push(host)
    else if (isIP(host) !== 0) names.ips.push(host)
    else names.dns.push(host)
  }
  return names
}

function hostsOf(certificate: X509Certificate): string {
  return (certificate.subjectAltName ?? '')
    .split(', ')
    .map((entry) => entry.replace(/^(URI|DNS|IP Address):/, ''))
    .join(',')
}
