import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions, type SecureVersion } from 'node:tls'
import {
  CertificateValidationContext,
  TlsParameters_CompliancePolicy as CompliancePolicy,
  type TlsParameters,
  TlsParameters_TlsProtocol,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import type { CommonTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { cipherList, defaultSuites } from './cipher-suites.ts'
import { compileKeyLog, type KeyLog } from './key-log.ts'
import { invalid, unsupported } from './problems.ts'
import type { SecretStore } from './secret-store.ts'
import { firstOfEachKind } from './server-certificates.ts'
import { compileCertificate, compileValidation, type TlsCertificatePlan, type ValidationPlan } from './tls-material.ts'
import { checkTlsContext } from './tls-rules.ts'

/** TLS material as it is now. */
export interface TlsMaterial {
  certificates: TlsCertificatePlan[]
  validation: ValidationPlan | null
  context: SecureContext
  /** What the context was made of. */
  options: SecureContextOptions
}

/** A CommonTlsContext that follows its secrets: `current` gives the material as it is now, made anew when a secret came. */
export interface TlsSource {
  /** null until every secret it names has come. */
  current(): TlsMaterial | null
  alpn: readonly string[]
  keyLog: KeyLog | null
  /** The cipher suites for clients that would have ChaCha20 first; null: the same as for others. */
  chaChaCiphers: string | null
}

const versions: Record<number, SecureVersion | undefined> = {
  [TlsParameters_TlsProtocol.TLSv1_0]: 'TLSv1',
  [TlsParameters_TlsProtocol.TLSv1_1]: 'TLSv1.1',
  [TlsParameters_TlsProtocol.TLSv1_2]: 'TLSv1.2',
  [TlsParameters_TlsProtocol.TLSv1_3]: 'TLSv1.3',
}

/** Compiles the part of TLS contexts that both sides share. `renegotiates`: the other side may have the handshake made again. */
export function compileTlsContext(
  source: CommonTlsContext | undefined,
  path: string,
  secrets: SecretStore,
  client: boolean,
  renegotiates = false,
): TlsSource {
  const at = `${path}.common_tls_context`
  if (source?.tlsCertificateProviderInstance !== undefined)
    throw unsupported(`${at}.tls_certificate_provider_instance`, 'a certificate provider')
  if (source?.customHandshaker !== undefined) throw unsupported(`${at}.custom_handshaker`, 'a custom handshaker')
  if (source !== undefined) checkTlsContext(source, at)
  const inline = (source?.tlsCertificates ?? []).map((certificate, i) =>
    compileCertificate(certificate, `${at}.tls_certificates[${i}]`),
  )
  const certificateSecrets = (source?.tlsCertificateSdsSecretConfigs ?? []).map((config) => config.name)
  if (client && inline.length + certificateSecrets.length > 1)
    throw invalid(at, 'Multiple TLS certificates are not supported for client contexts')
  if (!client && inline.length === 0 && certificateSecrets.length === 0) throw invalid(at, 'a server needs a certificate')
  const validation = compileValidationSource(source, at, secrets)
  const parameters = compileParameters(source?.tlsParams, client, `${at}.tls_params`)
  if (!renegotiates) parameters.secureOptions = (parameters.secureOptions ?? 0) | constants.SSL_OP_NO_RENEGOTIATION
  let made: TlsMaterial | null = null
  let version = -1
  const build = (): TlsMaterial | null => {
    const certificates = [...inline]
    for (const name of certificateSecrets) {
      const secret = secrets.get(name)
      if (secret?.type !== 'certificate') return null
      certificates.push(secret.certificate)
    }
    const trust = validation()
    if (trust === 'missing') return null
    if (made !== null && made.validation === trust && sameList(made.certificates, certificates)) return made
    const options = contextOptions(certificates, trust, parameters)
    return { certificates, validation: trust, options, context: createContext(options, at) }
  }
  const current = () => {
    if (version !== secrets.version) {
      version = secrets.version
      made = build() ?? made
    }
    return made
  }
  // Files and inline material are checked at once.
  if (certificateSecrets.length === 0) current()
  const keyLog = source?.keyLog === undefined ? null : compileKeyLog(source.keyLog, `${at}.key_log`)
  const chaCha = client || isCompliant(source?.tlsParams) ? null : cipherList(suitesOf(source?.tlsParams), true)
  const chaChaCiphers = chaCha === parameters.ciphers ? null : chaCha
  return { current, alpn: source?.alpnProtocols ?? [], keyLog, chaChaCiphers }
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i])
}

function contextOptions(
  certificates: readonly TlsCertificatePlan[],
  validation: ValidationPlan | null,
  parameters: SecureContextOptions,
): SecureContextOptions {
  return {
    ...parameters,
    ...(certificates.length > 0 ? certificateOptions(firstOfEachKind(certificates)) : {}),
    // Envoy trusts what is in the bundle, whether it signed itself or not.
    ...(validation?.ca != null ? { ca: [...validation.ca], allowPartialTrustChain: mayEndBelowRoot(validation) } : {}),
    // OpenSSL would ask for those of all authorities.
    ...(validation !== null && validation.crl.length > 0 && !validation.leafCrlOnly ? { crl: [...validation.crl] } : {}),
  }
}

/**
 * Whether a chain may end at an authority that another one signed. Where the revocation list of that one counts, its signer is needed: then
 * only where the bundle has no such, as with Envoy.
 */
function mayEndBelowRoot(validation: ValidationPlan): boolean {
  if (validation.crl.length === 0) return true
  const all = validation.authorities()
  return all.some((one) => !all.some((signer) => one.checkIssued(signer)))
}

/** Certificates with their keys, as Node takes them. */
export function certificateOptions(certificates: readonly TlsCertificatePlan[]): SecureContextOptions {
  const signatures = certificates.flatMap((one) => one.signatures)
  return {
    cert: certificates.map((one) => one.cert),
    key: certificates.map((one) => ({
      pem: one.key,
      ...(one.passphrase === undefined ? {} : { passphrase: one.passphrase }),
    })),
    ...(signatures.length === 0 ? {} : { sigalgs: signatures.join(':') }),
  }
}

function createContext(options: SecureContextOptions, path: string): SecureContext {
  try {
    return createSecureContext(options)
  } catch (error) {
    throw invalid(path, `TLS refuses this: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** A client goes no higher than TLS 1.2 unless it is told to, as Envoy's. */
function compileParameters(source: TlsParameters | undefined, client: boolean, path: string): SecureContextOptions {
  if (isCompliant(source)) return { ...compliant }
  const options: SecureContextOptions = {
    minVersion: versions[source?.tlsMinimumProtocolVersion ?? 0] ?? 'TLSv1.2',
    maxVersion: versions[source?.tlsMaximumProtocolVersion ?? 0] ?? (client && !asksFor13(source) ? 'TLSv1.2' : 'TLSv1.3'),
  }
  options.ciphers = cipherList(suitesOf(source))
  // OpenSSL takes them here; BoringSSL knows them, and does not let them be chosen.
  const fixed = options.ciphers.split(':').find((suite) => suite.startsWith('TLS_'))
  if (fixed !== undefined) throw invalid(`${path}.cipher_suites`, `Failed to initialize cipher suites: ${fixed}`)
  // A client's come in the order in which it would have them, with those of TLS 1.3.
  if (client) options.ciphers = `${suitesOf13}:${options.ciphers}`
  options.ecdhCurve = source !== undefined && source.ecdhCurves.length > 0 ? source.ecdhCurves.join(':') : defaultGroups
  const signatures = source?.signatureAlgorithms.join(':') ?? ''
  if (signatures !== '') options.sigalgs = signatures
  return options
}

/** What FIPS_202205 leaves, whatever else is said: NIST SP 800-52r2. */
const compliant: Readonly<SecureContextOptions> = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers:
    'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:' +
    'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384',
  ecdhCurve: 'P-256:P-384',
  sigalgs:
    'rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512:' +
    'ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384',
}

const suitesOf13 = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256'

/** What Envoy offers and takes for the exchange of keys where nothing is said. */
const defaultGroups = 'X25519MLKEM768:X25519:P-256'

function suitesOf(source: TlsParameters | undefined): readonly string[] {
  return source === undefined || source.cipherSuites.length === 0 ? defaultSuites : source.cipherSuites
}

function isCompliant(source: TlsParameters | undefined): boolean {
  return source?.compliancePolicies.includes(CompliancePolicy.FIPS_202205) === true
}

function asksFor13(source: TlsParameters | undefined): boolean {
  return source?.tlsMinimumProtocolVersion === TlsParameters_TlsProtocol.TLSv1_3
}

/** Gives the validation as it is now; 'missing' while its secret has not come. */
function compileValidationSource(
  source: CommonTlsContext | undefined,
  at: string,
  secrets: SecretStore,
): () => ValidationPlan | null | 'missing' {
  const type = source?.validationContextType
  const fromSecret = (name: string): ValidationPlan | 'missing' => {
    const secret = secrets.get(name)
    return secret?.type === 'validation' ? secret.validation : 'missing'
  }
  switch (type?.$case) {
    case undefined:
      return () => null
    case 'validationContext': {
      const path = `${at}.validation_context`
      const plan = compileValidation(type.value, path)
      if (plan.ca === null && plan.allowExpired)
        throw invalid(path, 'Certificate validity period is always ignored without trusted CA')
      if (plan.ca === null && plan.matchesNames)
        throw invalid(path, 'SAN-based verification of peer certificates without trusted CA is insecure and not allowed')
      return () => plan
    }
    case 'validationContextSdsSecretConfig': {
      const { name } = type.value
      return () => fromSecret(name)
    }
    case 'combinedValidationContext': {
      const path = `${at}.combined_validation_context`
      const config = type.value.validationContextSdsSecretConfig
      if (config === undefined) throw invalid(path, 'validation_context_sds_secret_config is needed')
      const base = compileValidation(
        type.value.defaultValidationContext ?? CertificateValidationContext.create(),
        `${path}.default_validation_context`,
      )
      let last: { dynamic: ValidationPlan; merged: ValidationPlan } | null = null
      return () => {
        const dynamic = fromSecret(config.name)
        if (dynamic === 'missing') return 'missing'
        if (last?.dynamic !== dynamic) last = { dynamic, merged: combine(base, dynamic) }
        return last.merged
      }
    }
    default:
      throw unsupported(at, `validation context '${type?.$case}'`)
  }
}

/** A combined context: what SDS says over what the configuration says; names of both count. */
function combine(base: ValidationPlan, dynamic: ValidationPlan): ValidationPlan {
  const trust = dynamic.ca === null ? base : dynamic
  return {
    ca: trust.ca,
    authorities: trust.authorities,
    ...(dynamic.crl.length > 0
      ? { crl: dynamic.crl, revocations: dynamic.revocations }
      : { crl: base.crl, revocations: base.revocations }),
    leafCrlOnly: base.leafCrlOnly || dynamic.leafCrlOnly,
    maxDepth: dynamic.maxDepth ?? base.maxDepth,
    acceptUntrusted: base.acceptUntrusted || dynamic.acceptUntrusted,
    allowExpired: base.allowExpired || dynamic.allowExpired,
    matchesNames: base.matchesNames || dynamic.matchesNames,
    hasPins: base.hasPins || dynamic.hasPins,
    isNamed: (certificate) => base.isNamed(certificate) && dynamic.isNamed(certificate),
    isPinned: (certificate) => base.isPinned(certificate) && dynamic.isPinned(certificate),
  }
}
