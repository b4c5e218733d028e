import type { KeyObject, X509Certificate } from 'node:crypto'
import { type CertificateFields, createCertificate, readIssuer } from '@weft/identity/certificate'
import { formatPem } from '@weft/identity/pem'
import { WeftError } from '@weft/service/errors'

/** Who signs, and whom to trust: one snapshot, replaced as a whole at a rotation. */
export interface Authority {
  /** The certificate that signs. */
  certificate: X509Certificate
  /** Certificates from the signing one up to, but without, the root: what a chain needs. PEM. */
  intermediates: readonly string[]
  /** The trusted roots; two while a rotation is under way. */
  roots: readonly X509Certificate[]
  bundlePem: string
  /** Signs a certificate; it never outlives the signing one, so its end may be sooner than was asked for. */
  sign(fields: CertificateFields): { der: Buffer; notAfter: Date }
}

export interface AuthorityParts {
  key: KeyObject
  certificate: X509Certificate
  intermediates: readonly X509Certificate[]
  roots: readonly X509Certificate[]
}

/**
 * An authority from its key and certificates, checked: the key is the certificate's, the certificate may sign, and it leads
 * to a root. Throws `failed_precondition` that says what does not fit.
 */
export function createAuthority({ key, certificate, intermediates, roots }: AuthorityParts, file: string): Authority {
  const bad = (reason: string): WeftError => new WeftError('failed_precondition', reason, { where: { file } })
  if (!certificate.ca) throw bad('the certificate is not authorized to sign other certificates')
  if (!certificate.checkPrivateKey(key)) throw bad('the cert does not match the key')
  const now = new Date()
  if (certificate.validToDate <= now) throw bad(`the certificate has expired at ${certificate.validToDate.toISOString()}`)
  checkLeadsToRoot(certificate, intermediates, roots, bad)
  const isRoot = roots.some((root) => root.fingerprint256 === certificate.fingerprint256)
  const issuer = readIssuer(certificate.raw, key)
  return {
    certificate,
    intermediates: (isRoot ? [] : [certificate, ...intermediates]).map((one) => formatPem('CERTIFICATE', one.raw)),
    roots,
    bundlePem: roots.map((root) => formatPem('CERTIFICATE', root.raw)).join(''),
    sign(fields) {
      const notAfter = new Date(Math.min(fields.notAfter.getTime(), certificate.validToDate.getTime()))
      return { der: createCertificate({ ...fields, notAfter }, issuer), notAfter }
    },
  }
}

function checkLeadsToRoot(
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  bad: (reason: string) => WeftError,
): void {
  let current = certificate
  for (let depth = 0; depth <= intermediates.length; depth += 1) {
    if (roots.some((root) => root.fingerprint256 === current.fingerprint256 || signed(root, current))) return
    const next = intermediates.find((candidate) => candidate !== current && signed(candidate, current))
    if (next === undefined) break
    current = next
  }
  throw bad('cannot verify the cert with the provided root chain and cert pool: certificate signed by unknown authority')
}

function signed(issuer: X509Certificate, subject: X509Certificate): boolean {
  return issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey)
}
