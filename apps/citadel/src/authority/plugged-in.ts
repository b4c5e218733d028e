import { join } from 'node:path'
import { parseCertificates } from '@weft/identity/verify'
import { WeftError } from '@weft/service/errors'
import { type Authority, createAuthority } from './authority.ts'
import { readFileIfThere, readSecretIfThere } from './files.ts'
import { readPrivateKey } from './self-signed.ts'

/**
 * An authority from an operator's files, by the names Istio gives them: `ca-cert.pem`, `ca-key.pem`, `root-cert.pem` and, when
 * there is more than one link between, `cert-chain.pem`. Throws `failed_precondition` that names the file.
 */
export async function openPluggedInAuthority(folder: string, passphrase: string | undefined): Promise<Authority> {
  const need = async (name: string, read: (path: string) => Promise<string | undefined>): Promise<string> => {
    const content = await read(join(folder, name))
    if (content !== undefined) return content
    throw new WeftError('failed_precondition', 'no such file', {
      where: { file: join(folder, name) },
      hint: '--ca-dir needs ca-cert.pem, ca-key.pem and root-cert.pem',
    })
  }
  const certificateFile = join(folder, 'ca-cert.pem')
  const [keyPem, certificatePem, rootPem, chainPem] = await Promise.all([
    need('ca-key.pem', readSecretIfThere),
    need('ca-cert.pem', readFileIfThere),
    need('root-cert.pem', readFileIfThere),
    readFileIfThere(join(folder, 'cert-chain.pem')),
  ])
  const [certificate, ...following] = parseCertificates(certificatePem, certificateFile)
  if (certificate === undefined)
    throw new WeftError('failed_precondition', 'no certificate', { where: { file: certificateFile } })
  const chain = chainPem === undefined ? [] : parseCertificates(chainPem, join(folder, 'cert-chain.pem'))
  const roots = parseCertificates(rootPem, join(folder, 'root-cert.pem'))
  const above = [...following, ...chain].filter(
    (one) =>
      one.fingerprint256 !== certificate.fingerprint256 && !roots.some((root) => root.fingerprint256 === one.fingerprint256),
  )
  const key = readPrivateKey(keyPem, join(folder, 'ca-key.pem'), passphrase)
  return createAuthority({ key, certificate, intermediates: above, roots }, certificateFile)
}
