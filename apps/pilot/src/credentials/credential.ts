import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { WeftError } from '@weft/service/errors'

/** A certificate with its key, authorities that are trusted, or both, as a Gateway or DestinationRule names them. */
export interface Credential {
  readonly namespace: string
  readonly name: string
  /** The only account that may have it; undefined where whoever may have any of the namespace may have this one. */
  readonly serviceAccount: string | undefined
  /** PEM; empty where there is none. A certificate never comes without its key. */
  readonly certificate: Buffer
  readonly privateKey: Buffer
  readonly authorities: Buffer
  readonly revocations: Buffer
  /** DER; empty where there is none. */
  readonly ocspStaple: Buffer
  /** Changes with the content. */
  readonly version: string
}

/** Credentials followed where the platform keeps them. */
export interface CredentialSource {
  /** By credentialKey. */
  readonly current: ReadonlyMap<string, Credential>
  /** Calls `listener` after each change of `current`, until the returned function is called. */
  subscribe(listener: () => void): () => void
  /** Whether a service account may have what its namespace keeps. Throws when nobody can tell now. */
  mayRead(namespace: string, serviceAccount: string): Promise<boolean>
  close(): Promise<void>
}

/** What a credential is found by. Neither a namespace nor an account has a slash, whatever a name has. */
export function credentialKey(namespace: string, serviceAccount: string | undefined, name: string): string {
  return `${namespace}/${serviceAccount ?? ''}/${name}`
}

/** What the name of a secret that holds authorities ends in, as Istio has it. */
export const authoritiesSuffix = '-cacert'

/** Names under which a certificate, its key and the rest stand: those of `kubernetes.io/tls`, then those of an opaque secret. */
const entryNames = {
  certificate: ['tls.crt', 'cert'],
  privateKey: ['tls.key', 'key'],
  authorities: ['ca.crt', 'cacert'],
  revocations: ['ca.crl', 'crl'],
  ocspStaple: ['tls.ocsp-staple', 'cert.ocsp-staple'],
} as const

/** All names that an entry of a secret may have here. */
export const credentialEntries: readonly string[] = Object.values(entryNames).flat()

/** Whose a secret is. */
export type CredentialPlace = Pick<Credential, 'namespace' | 'name'> & { readonly serviceAccount?: string | undefined }

/**
 * Reads a credential from the entries of a secret. Undefined where there is none among them; throws `invalid_argument` for one
 * that no server could use. No error holds what a secret holds.
 */
export function readCredential(
  { namespace, name, serviceAccount }: CredentialPlace,
  entry: (name: string) => Buffer | undefined,
): Credential | undefined {
  const find = (names: readonly string[]): Buffer => {
    for (const candidate of names) {
      const value = entry(candidate)
      if (value !== undefined && value.length > 0) return value
    }
    return Buffer.alloc(0)
  }
  const parts = {
    certificate: find(entryNames.certificate),
    privateKey: find(entryNames.privateKey),
    authorities: find(entryNames.authorities),
    revocations: find(entryNames.revocations),
    ocspStaple: find(entryNames.ocspStaple),
  }
  const { certificate, privateKey, authorities } = parts
  if (certificate.length === 0 && privateKey.length === 0 && authorities.length === 0) return undefined
  const refuse = (message: string): never => {
    throw new WeftError(
      'invalid_argument',
      `the secret ${[namespace, serviceAccount, name].filter(Boolean).join('/')} ${message}`,
      {
        hint: 'a gateway needs tls.crt and tls.key, or cert and key; for the authorities of its clients ca.crt or cacert',
      },
    )
  }
  if (certificate.length === 0 && privateKey.length > 0) refuse('has a key without a certificate')
  if (certificate.length > 0 && privateKey.length === 0) refuse('has a certificate without its key')
  if (certificate.length > 0) checkPair(certificate, privateKey, refuse)
  if (authorities.length > 0 && !isCertificate(authorities)) refuse('has authorities that are no certificates in PEM')
  const hash = createHash('sha256')
  for (const part of Object.values(parts)) hash.update(`${part.length} `).update(part)
  return { namespace, name, serviceAccount, ...parts, version: hash.digest('base64url') }
}

function isCertificate(pem: Buffer): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}

function checkPair(certificate: Buffer, privateKey: Buffer, refuse: (message: string) => never): void {
  if (!isCertificate(certificate)) refuse('has a certificate that is none in PEM')
  let key: KeyObject | undefined
  try {
    key = createPrivateKey(privateKey)
  } catch {
    // What a parser says of a key might quote it.
  }
  if (key === undefined) refuse('has a key that is none in PEM')
  else if (!new X509Certificate(certificate).checkPrivateKey(key)) refuse('has a key that is not that of its certificate')
}

/** The resource that holds a credential's certificate and key; undefined where it has none. */
export function certificateSecret(name: string, credential: Credential): Secret | undefined {
  const { certificate, privateKey, ocspStaple } = credential
  if (certificate.length === 0) return undefined
  return Secret.fromPartial({
    name,
    type: {
      $case: 'tlsCertificate',
      value: {
        certificateChain: inline(certificate),
        privateKey: inline(privateKey),
        ocspStaple: ocspStaple.length === 0 ? undefined : inline(ocspStaple),
      },
    },
  })
}

/** The resource that holds the authorities a credential names; undefined where it names none. */
export function authoritiesSecret(name: string, { authorities, revocations }: Credential): Secret | undefined {
  if (authorities.length === 0) return undefined
  return Secret.fromPartial({
    name,
    type: {
      $case: 'validationContext',
      value: { trustedCa: inline(authorities), crl: revocations.length === 0 ? undefined : inline(revocations) },
    },
  })
}

function inline(value: Buffer) {
  return { specifier: { $case: 'inlineBytes' as const, value } }
}
