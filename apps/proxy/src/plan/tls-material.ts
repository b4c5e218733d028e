import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { isIPv6, SocketAddress } from 'node:net'
import { getCACertificates, rootCertificates } from 'node:tls'
import type { DataSource } from '@weft/contracts/envoy/config/core/v3/base'
import type {
  CertificateValidationContext,
  TlsCertificate,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import {
  CertificateValidationContext_TrustChainVerification,
  SubjectAltNameMatcher_SanType,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import { compileTextMatcher } from '../routing/matchers/string-matcher.ts'
import { certificateFields } from './certificate-fields.ts'
import { readDataSource } from './data-source.ts'
import { type OcspResponse, readOcspResponse } from './ocsp-response.ts'
import { invalid, unsupported } from './problems.ts'
import { type RevocationList, readRevocationLists, splitPem } from './revocation-list.ts'
import { checkPins } from './tls-rules.ts'

/** A certificate chain and its key, as PEM, ready for Node's TLS. */
export interface TlsCertificatePlan {
  cert: Buffer
  key: Buffer
  passphrase: string | undefined
  leaf: X509Certificate
  uris: readonly string[]
  dnsNames: readonly string[]
  /** What its authority says of it, for those who ask; null: nothing. */
  ocsp: OcspResponse | null
  /** Algorithms that it is used with; none: any of the context's. */
  signatures: readonly string[]
}

/** What a peer's certificate has to be. */
export interface ValidationPlan {
  /** Each trusted certificate, as PEM; null: none is asked for. */
  ca: readonly string[] | null
  /** The same, read. */
  authorities(): readonly X509Certificate[]
  /** Each revocation list, as PEM, and the same, read. */
  crl: readonly string[]
  revocations: readonly RevocationList[]
  /** Revocation lists count for a peer's own certificate, not for those that it was signed by. */
  leafCrlOnly: boolean
  /** The most certificates above a peer's own, up to one that is trusted; null: any. */
  maxDepth: number | null
  /** Certificates that no authority signed are let in (their names are still matched). */
  acceptUntrusted: boolean
  allowExpired: boolean
  /** Whether a peer's names count, and whether only certain certificates do. */
  matchesNames: boolean
  hasPins: boolean
  /** Whether a peer's own certificate has one of the names that are asked for, and whether it is one of those that are. */
  isNamed(certificate: X509Certificate): boolean
  isPinned(certificate: X509Certificate): boolean
}

/** Reads chain and key, and checks that they belong together. */
export function compileCertificate(source: TlsCertificate, path: string): TlsCertificatePlan {
  if (source.privateKeyProvider !== undefined) throw unsupported(`${path}.private_key_provider`, 'a private key provider')
  if (source.pkcs12 !== undefined) throw unsupported(`${path}.pkcs12`, 'pkcs12')
  const cert = readDataSource(source.certificateChain, `${path}.certificate_chain`)
  const key = readDataSource(source.privateKey, `${path}.private_key`)
  const passphrase = source.password === undefined ? undefined : readDataSource(source.password, `${path}.password`).toString()
  let leaf: X509Certificate
  try {
    leaf = new X509Certificate(cert)
  } catch {
    throw invalid(`${path}.certificate_chain`, 'not a PEM certificate')
  }
  try {
    const privateKey = createPrivateKey(passphrase === undefined ? { key } : { key, passphrase })
    if (!leaf.checkPrivateKey(privateKey)) throw invalid(`${path}.private_key`, 'the key does not belong to the certificate')
  } catch (error) {
    // Nothing of the key's text goes into a message.
    if (error instanceof Error && error.name === 'WeftError') throw error
    throw invalid(`${path}.private_key`, 'not a PEM private key, or the password is wrong')
  }
  const { uris, dnsNames } = namesOf(leaf)
  const signatures = source.tlsParams?.signatureAlgorithms ?? []
  return { cert, key, passphrase, leaf, uris, dnsNames, ocsp: staple(source, leaf, path), signatures }
}

function staple({ ocspStaple }: TlsCertificate, leaf: X509Certificate, path: string): OcspResponse | null {
  if (ocspStaple === undefined) return null
  const response = readOcspResponse(readDataSource(ocspStaple, `${path}.ocsp_staple`), leaf)
  if (typeof response === 'string') throw invalid(`${path}.ocsp_staple`, response)
  return response
}

let systemRootCertificates: readonly string[] | undefined

/** The authorities that the operating system trusts, or where it names none those that come with Node. */
function systemRoots(): readonly string[] {
  if (systemRootCertificates === undefined) {
    const system = getCACertificates('system')
    systemRootCertificates = system.length > 0 ? system : rootCertificates
  }
  return systemRootCertificates
}

/** Compiles a validation context. */
export function compileValidation(source: CertificateValidationContext, path: string): ValidationPlan {
  if (source.customValidatorConfig !== undefined) throw unsupported(`${path}.custom_validator_config`, 'a custom validator')
  if (source.caCertificateProviderInstance !== undefined)
    throw unsupported(`${path}.ca_certificate_provider_instance`, 'a certificate provider')
  const stated = source.trustedCa === undefined ? null : trustedCertificates(source.trustedCa, `${path}.trusted_ca`)
  const ca = stated ?? (source.systemRootCerts === undefined ? null : systemRoots())
  const lists = source.crl === undefined ? null : readDataSource(source.crl, `${path}.crl`)
  const revocations =
    lists === null ? [] : readRevocationLists(lists, () => invalid(`${path}.crl`, 'not a list of revoked certificates in PEM'))
  if (lists !== null && revocations.length === 0) throw invalid(`${path}.crl`, 'no list of revoked certificates in PEM')
  if (lists !== null && ca === null) throw invalid(`${path}.crl`, 'Failed to load CRL without trusted CA')
  let authorities: readonly X509Certificate[] | undefined
  const matchers = [
    ...source.matchTypedSubjectAltNames.map((typed, i) => {
      const at = `${path}.match_typed_subject_alt_names[${i}]`
      if (typed.matcher === undefined) throw invalid(at, 'a matcher is needed')
      if (typed.sanType === SubjectAltNameMatcher_SanType.OTHER_NAME && !/^(?:[01]\.[1-3]?\d|2\.\d+)(?:\.\d+)*$/.test(typed.oid))
        throw invalid(`${at}.oid`, 'a name of another kind needs its object identifier', 'for instance 1.3.6.1.4.1.311.20.2.3')
      const { matchPattern } = typed.matcher
      // A name in full is a host: one of the certificate's may stand for it by a wildcard.
      const isHost = typed.sanType === SubjectAltNameMatcher_SanType.DNS && matchPattern?.$case === 'exact'
      const matches = isHost
        ? (name: string) => standsFor(name, matchPattern.value)
        : compileTextMatcher(typed.matcher, `${at}.matcher`)
      return { type: typed.sanType, oid: typed.oid, matches }
    }),
    ...source.matchSubjectAltNames.map((matcher, i) => ({
      type: 0,
      oid: '',
      matches: compileTextMatcher(matcher, `${path}.match_subject_alt_names[${i}]`),
    })),
  ]
  checkPins(source.verifyCertificateHash, source.verifyCertificateSpki, path)
  const hashes = source.verifyCertificateHash.map((hash) => hash.replaceAll(':', '').toLowerCase())
  const pins = source.verifyCertificateSpki
  const hasPins = hashes.length > 0 || pins.length > 0
  return {
    ca,
    authorities: () => (authorities ??= ca?.map((pem) => new X509Certificate(pem)) ?? []),
    crl: lists === null ? [] : splitPem(lists, 'X509 CRL'),
    revocations,
    leafCrlOnly: source.onlyVerifyLeafCertCrl,
    maxDepth: source.maxVerifyDepth ?? null,
    acceptUntrusted: source.trustChainVerification === CertificateValidationContext_TrustChainVerification.ACCEPT_UNTRUSTED,
    allowExpired: source.allowExpiredCertificate,
    matchesNames: matchers.length > 0,
    hasPins,
    isPinned(certificate) {
      if (!hasPins) return true
      const hash = createHash('sha256').update(certificate.raw).digest('hex')
      const spki = createHash('sha256')
        .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
        .digest('base64')
      return hashes.includes(hash) || pins.includes(spki)
    },
    isNamed(certificate) {
      if (matchers.length === 0) return true
      const names = namesOf(certificate)
      return matchers.some(({ type, oid, matches }) =>
        (type === SubjectAltNameMatcher_SanType.OTHER_NAME ? otherNames(certificate, oid) : sanValues(names, type)).some(matches),
      )
    },
  }
}

function trustedCertificates(source: DataSource, path: string): readonly string[] {
  const all = splitPem(readDataSource(source, path), 'CERTIFICATE')
  if (all.length === 0) throw invalid(path, 'not a PEM certificate')
  for (const pem of all) {
    try {
      new X509Certificate(pem)
    } catch {
      throw invalid(path, 'not a PEM certificate')
    }
  }
  return all
}

function otherNames(certificate: X509Certificate, oid: string): string[] {
  return certificateFields(certificate)
    .otherNames.filter((name) => name.oid === oid)
    .map(({ value }) => value)
}

interface Names {
  uris: string[]
  dnsNames: string[]
  emails: string[]
  addresses: string[]
}

function sanValues(names: Names, type: number): string[] {
  switch (type) {
    case SubjectAltNameMatcher_SanType.EMAIL:
      return names.emails
    case SubjectAltNameMatcher_SanType.DNS:
      return names.dnsNames
    case SubjectAltNameMatcher_SanType.URI:
      return names.uris
    case SubjectAltNameMatcher_SanType.IP_ADDRESS:
      return names.addresses
    default:
      return [...names.uris, ...names.dnsNames, ...names.emails, ...names.addresses]
  }
}

const nameKinds = { URI: 'uris', DNS: 'dnsNames', email: 'emails', 'IP Address': 'addresses' } as const
type NameKind = keyof typeof nameKinds | 'othername'

function isNameKind(text: string): text is NameKind {
  return text === 'othername' || text in nameKinds
}

/** The subject alternative names of a certificate. */
export function namesOf(certificate: X509Certificate): Names {
  const names: Names = { uris: [], dnsNames: [], emails: [], addresses: [] }
  for (const { kind, value } of textNames(certificate)) if (kind !== 'othername') names[nameKinds[kind]].push(value)
  return names
}

/** All of them, of other kinds too, as the certificate has them. */
export function namesInOrder(certificate: X509Certificate): string[] {
  const others = certificateFields(certificate).otherNames.values()
  return textNames(certificate).map(({ kind, value }) => (kind === 'othername' ? (others.next().value?.value ?? '') : value))
}

/** Node's text form quotes a name that could be misread, as JSON, and does not tell what names of other kinds say. */
function textNames(certificate: X509Certificate): { kind: NameKind; value: string }[] {
  const text = certificate.subjectAltName ?? ''
  const found = text.matchAll(/(URI|DNS|email|IP Address|othername):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)
  return [...found].flatMap((match) => {
    const [, kind = '', raw = ''] = match
    const value: unknown = raw.startsWith('"') ? JSON.parse(raw) : raw
    if (typeof value !== 'string' || !isNameKind(kind)) return []
    return [{ kind, value: kind === 'IP Address' ? shortAddress(value) : value }]
  })
}

/** IPv6 as RFC 5952 has it: OpenSSL writes it in full. */
function shortAddress(address: string): string {
  if (!isIPv6(address)) return address
  const { address: short } = new SocketAddress({ address, family: 'ipv6' })
  return short
}

/** Whether a certificate is for this host: a name (`*.` stands for one label), an address or a URI. */
export function isNamed(certificate: X509Certificate, host: string): boolean {
  const { dnsNames, uris, addresses } = namesOf(certificate)
  return dnsNames.some((name) => standsFor(name, host)) || uris.includes(host) || addresses.includes(host)
}

/** Whether a DNS name of a certificate is a host's; `*.` stands for one label. */
function standsFor(name: string, host: string): boolean {
  const pattern = name.toLowerCase()
  const wanted = host.toLowerCase()
  const dot = wanted.indexOf('.')
  return pattern === wanted || (dot > 0 && pattern === `*${wanted.slice(dot)}`)
}
