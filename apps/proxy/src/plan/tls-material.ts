import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { getCACertificates, rootCertificates } from 'node:tls'
import type {
  CertificateValidationContext,
  TlsCertificate,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import {
  CertificateValidationContext_TrustChainVerification,
  SubjectAltNameMatcher_SanType,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import { compileStringMatcher } from '../routing/matchers/string-matcher.ts'
import { readDataSource } from './data-source.ts'
import { invalid, unsupported } from './problems.ts'

/** A certificate chain and its key, as PEM, ready for Node's TLS. */
export interface TlsCertificatePlan {
  cert: Buffer
  key: Buffer
  passphrase: string | undefined
  leaf: X509Certificate
  uris: readonly string[]
  dnsNames: readonly string[]
}

/** What a peer's certificate has to be. */
export interface ValidationPlan {
  ca: Buffer | null
  crl: Buffer | null
  /** Certificates that no authority signed are let in (their names are still matched). */
  acceptUntrusted: boolean
  allowExpired: boolean
  /** Whether a peer's names count. */
  matchesNames: boolean
  /** What a peer's own certificate lacks, whoever signed it; null: nothing. */
  check(certificate: X509Certificate): 'pin' | 'name' | null
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
  return { cert, key, passphrase, leaf, uris, dnsNames }
}

let systemRootCertificates: Buffer | undefined

/** The authorities that the operating system trusts, or where it names none those that come with Node. */
function systemRoots(): Buffer {
  if (systemRootCertificates === undefined) {
    const system = getCACertificates('system')
    systemRootCertificates = Buffer.from((system.length > 0 ? system : rootCertificates).join('\n'))
  }
  return systemRootCertificates
}

/** Compiles a validation context. */
export function compileValidation(source: CertificateValidationContext, path: string): ValidationPlan {
  if (source.customValidatorConfig !== undefined) throw unsupported(`${path}.custom_validator_config`, 'a custom validator')
  if (source.caCertificateProviderInstance !== undefined)
    throw unsupported(`${path}.ca_certificate_provider_instance`, 'a certificate provider')
  const stated = source.trustedCa === undefined ? null : readDataSource(source.trustedCa, `${path}.trusted_ca`)
  const ca = stated ?? (source.systemRootCerts === undefined ? null : systemRoots())
  if (stated !== null) {
    try {
      new X509Certificate(stated)
    } catch {
      throw invalid(`${path}.trusted_ca`, 'not a PEM certificate')
    }
  }
  const matchers = [
    ...source.matchTypedSubjectAltNames.map((typed, i) => {
      const at = `${path}.match_typed_subject_alt_names[${i}]`
      if (typed.sanType === SubjectAltNameMatcher_SanType.OTHER_NAME) throw unsupported(`${at}.san_type`, 'OTHER_NAME')
      if (typed.matcher === undefined) throw invalid(at, 'a matcher is needed')
      return { type: typed.sanType, matches: compileStringMatcher(typed.matcher, `${at}.matcher`) }
    }),
    ...source.matchSubjectAltNames.map((matcher, i) => ({
      type: 0,
      matches: compileStringMatcher(matcher, `${path}.match_subject_alt_names[${i}]`),
    })),
  ]
  const hashes = source.verifyCertificateHash.map((hash) => hash.replaceAll(':', '').toLowerCase())
  const pins = source.verifyCertificateSpki
  return {
    ca,
    crl: source.crl === undefined ? null : readDataSource(source.crl, `${path}.crl`),
    acceptUntrusted: source.trustChainVerification === CertificateValidationContext_TrustChainVerification.ACCEPT_UNTRUSTED,
    allowExpired: source.allowExpiredCertificate,
    matchesNames: matchers.length > 0,
    check(certificate) {
      if (hashes.length > 0 || pins.length > 0) {
        const hash = createHash('sha256').update(certificate.raw).digest('hex')
        const spki = createHash('sha256')
          .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
          .digest('base64')
        if (!hashes.includes(hash) && !pins.includes(spki)) return 'pin'
      }
      if (matchers.length === 0) return null
      const names = namesOf(certificate)
      const matched = matchers.some(({ type, matches }) => sanValues(names, type).some((value) => matches(value)))
      return matched ? null : 'name'
    },
  }
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

/** The subject alternative names of a certificate. Node's text form quotes a name that could be misread, as JSON. */
export function namesOf(certificate: X509Certificate): Names {
  const names: Names = { uris: [], dnsNames: [], emails: [], addresses: [] }
  const text = certificate.subjectAltName ?? ''
  for (const match of text.matchAll(/(URI|DNS|email|IP Address):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)) {
    const raw = match[2]!
    const value: unknown = raw.startsWith('"') ? JSON.parse(raw) : raw
    if (typeof value !== 'string') continue
    if (match[1] === 'URI') names.uris.push(value)
    else if (match[1] === 'DNS') names.dnsNames.push(value)
    else if (match[1] === 'email') names.emails.push(value)
    else names.addresses.push(value)
  }
  return names
}

/** Whether a certificate is for this host: a name (`*.` stands for one label), an address or a URI. */
export function isNamed(certificate: X509Certificate, host: string): boolean {
  const { dnsNames, uris, addresses } = namesOf(certificate)
  const wanted = host.toLowerCase()
  const dot = wanted.indexOf('.')
  const wild = dot > 0 ? `*${wanted.slice(dot)}` : null
  return (
    dnsNames.some((name) => name.toLowerCase() === wanted || name.toLowerCase() === wild) ||
    uris.includes(host) ||
    addresses.includes(host)
  )
}
