import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { createCertificate, keyIdentifier, selfIssuer } from '@weft/identity/certificate'
import { createKeyPair, publicKeyDer } from '@weft/identity/keys'
import { formatPem } from '@weft/identity/pem'
import { parseCertificates } from '@weft/identity/verify'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { type Authority, createAuthority } from './authority.ts'
import { fileMode, readFileIfThere, readSecretIfThere, writeFileAtomically } from './files.ts'

export interface SelfSignedOptions {
  dataDir: string
  trustDomain: string
  /** Encrypts the key at rest when given. */
  passphrase: string | undefined
  logger: Logger
}

/** The files of a self-signed root in the data folder. */
export interface RootFiles {
  /** The key that signs; 0600, PKCS #8. */
  key: string
  /** All trusted roots: one, or two while a rotation is under way. */
  certificates: string
  /** The key that will sign, between the first and the second step of a rotation. */
  nextKey: string
}

export function rootFiles(dataDir: string): RootFiles {
  const file = (name: string): string => join(dataDir, name)
  return { key: file('root-key.pem'), certificates: file('root-cert.pem'), nextKey: file('next-root-key.pem') }
}

const rootLifeMs = 10 * 365 * 24 * 3600 * 1000
const backdateMs = 60 * 60 * 1000

/**
 * The root that Citadel makes for itself at its first start and finds again at every later one, in the files of `rootFiles`. The key
 * is encrypted when there is a passphrase.
 */
export async function openSelfSignedAuthority(options: SelfSignedOptions): Promise<Authority> {
  const files = rootFiles(options.dataDir)
  const [keyPem, certificatePem] = await Promise.all([readSecretIfThere(files.key), readFileIfThere(files.certificates)])
  if (keyPem === undefined && certificatePem === undefined) return createFirstRoot(options, files)
  if (keyPem === undefined || certificatePem === undefined) {
    throw new WeftError('failed_precondition', 'one of root-key.pem and root-cert.pem is missing', {
      where: { file: keyPem === undefined ? files.key : files.certificates },
      hint: 'restore it, or remove both to start with a new root (every workload then has to join again)',
    })
  }
  const key = readPrivateKey(keyPem, files.key, options.passphrase)
  return authorityOf(key, parseCertificates(certificatePem, files.certificates), files.certificates)
}

/** An authority that signs with `key`, whose certificate has to be among the roots. */
export function authorityOf(key: KeyObject, roots: readonly X509Certificate[], file: string): Authority {
  const certificate = roots.find((root) => root.checkPrivateKey(key))
  if (certificate === undefined) {
    throw new WeftError('failed_precondition', 'no certificate of root-cert.pem belongs to root-key.pem', {
      where: { file },
      hint: 'restore the pair, or remove both to start with a new root (every workload then has to join again)',
    })
  }
  return createAuthority({ key, certificate, intermediates: [], roots }, file)
}

/** Reads a private key, encrypted or not. The errors name the file, never its content. */
export function readPrivateKey(pem: string, file: string, passphrase: string | undefined): KeyObject {
  const encrypted = pem.includes('ENCRYPTED')
  if (encrypted && passphrase === undefined) {
    throw new WeftError('failed_precondition', 'the key is encrypted and there is no passphrase', {
      where: { file },
      hint: 'set WEFT_CA_PASSPHRASE',
    })
  }
  try {
    return createPrivateKey(encrypted ? { key: pem, passphrase } : pem)
  } catch (cause) {
    throw new WeftError(
      'failed_precondition',
      encrypted ? 'the key does not open with this passphrase' : 'invalid PEM-encoded key',
      {
        where: { file },
        hint: encrypted ? 'compare WEFT_CA_PASSPHRASE' : 'restore the file',
        cause,
      },
    )
  }
}

async function createFirstRoot(options: SelfSignedOptions, files: RootFiles): Promise<Authority> {
  const { key, certificate } = await createRoot(options.trustDomain)
  // The key first: a crash in between leaves a state that the next start refuses with what to do.
  await writeFileAtomically(files.key, writePrivateKey(key, options.passphrase), fileMode.secret)
  await writeFileAtomically(files.certificates, formatPem('CERTIFICATE', certificate.raw), fileMode.public)
  const { fingerprint256 } = certificate
  options.logger.info(
    { file: files.certificates, trustDomain: options.trustDomain, fingerprint256 },
    'made a new root certificate',
  )
  return authorityOf(key, [certificate], files.certificates)
}

/** A new root: a P-256 key and its own certificate for ten years. */
export async function createRoot(trustDomain: string): Promise<{ key: KeyObject; certificate: X509Certificate }> {
  const { privateKey, publicKey } = await createKeyPair()
  const spki = publicKeyDer(publicKey)
  const now = Date.now()
  // Each root has a name of its own: OpenSSL looks an issuer up by name first.
  const subject = { organization: trustDomain, commonName: `Weft root ${keyIdentifier(spki).toString('hex').slice(0, 8)}` }
  const der = createCertificate(
    {
      subject,
      spki,
      names: { uris: [`spiffe://${trustDomain}`] },
      notBefore: new Date(now - backdateMs),
      notAfter: new Date(now + rootLifeMs),
      use: 'authority',
    },
    selfIssuer(privateKey, spki, subject),
  )
  return { key: privateKey, certificate: new X509Certificate(der) }
}

/** A private key as PKCS #8 PEM, encrypted when there is a passphrase. */
export function writePrivateKey(key: KeyObject, passphrase: string | undefined): string {
  const encryption = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }
  return key.export({ type: 'pkcs8', format: 'pem', ...encryption }).toString()
}
