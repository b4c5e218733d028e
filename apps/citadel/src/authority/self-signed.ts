import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { createCertificate, selfIssuer } from '@weft/identity/certificate'
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

const rootLifeMs = 10 * 365 * 24 * 3600 * 1000
const backdateMs = 60 * 60 * 1000

/**
 * The root that Citadel makes for itself at its first start and finds again at every later one: `root-key.pem` (0600, PKCS #8,
 * encrypted when there is a passphrase) and `root-cert.pem` in the data folder.
 */
export async function openSelfSignedAuthority(options: SelfSignedOptions): Promise<Authority> {
  const keyFile = join(options.dataDir, 'root-key.pem')
  const certificateFile = join(options.dataDir, 'root-cert.pem')
  const [keyPem, certificatePem] = await Promise.all([readSecretIfThere(keyFile), readFileIfThere(certificateFile)])
  if (keyPem === undefined && certificatePem === undefined) return createRoot(options, keyFile, certificateFile)
  if (keyPem === undefined || certificatePem === undefined) {
    const missing = keyPem === undefined ? keyFile : certificateFile
    throw new WeftError('failed_precondition', 'one of root-key.pem and root-cert.pem is missing', {
      where: { file: missing },
      hint: 'restore it, or remove both to start with a new root (every workload then has to join again)',
    })
  }
  const key = readPrivateKey(keyPem, keyFile, options.passphrase)
  const roots = parseCertificates(certificatePem, certificateFile)
  const certificate = roots.find((root) => root.checkPrivateKey(key))
  if (certificate === undefined) {
    throw new WeftError('failed_precondition', 'no certificate of root-cert.pem belongs to root-key.pem', {
      where: { file: certificateFile },
      hint: 'restore the pair, or remove both to start with a new root (every workload then has to join again)',
    })
  }
  return createAuthority({ key, certificate, intermediates: [], roots }, certificateFile)
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

async function createRoot(
  { trustDomain, passphrase, logger }: SelfSignedOptions,
  keyFile: string,
  certificateFile: string,
): Promise<Authority> {
  const keys = await createKeyPair()
  const spki = publicKeyDer(keys.publicKey)
  const subject = { organization: trustDomain, commonName: 'Weft root' }
  const now = Date.now()
  const der = createCertificate(
    {
      subject,
      spki,
      names: { uris: [`spiffe://${trustDomain}`] },
      notBefore: new Date(now - backdateMs),
      notAfter: new Date(now + rootLifeMs),
      use: 'authority',
    },
    selfIssuer(keys.privateKey, spki, subject),
  )
  const certificate = new X509Certificate(der)
  const keyPem = keys.privateKey
    .export({ type: 'pkcs8', format: 'pem', ...(passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }) })
    .toString()
  // The key first: a crash in between leaves a state that the next start refuses with what to do.
  await writeFileAtomically(keyFile, keyPem, fileMode.secret)
  await writeFileAtomically(certificateFile, formatPem('CERTIFICATE', der), fileMode.public)
  logger.info({ file: certificateFile, trustDomain, fingerprint: certificate.fingerprint256 }, 'made a new root certificate')
  return createAuthority({ key: keys.privateKey, certificate, intermediates: [], roots: [certificate] }, certificateFile)
}
