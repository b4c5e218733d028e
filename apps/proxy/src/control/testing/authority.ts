import { createCertificate, type Issuer, selfIssuer } from '@weft/identity/certificate'
import { createKeyPair, privateKeyPem, publicKeyDer } from '@weft/identity/keys'
import { formatPem } from '@weft/identity/pem'

/** A certificate with its key, PEM. */
export interface IssuedCertificate {
  certificate: string
  key: string
}

/** A certificate authority for tests. */
export interface Authority {
  root: string
  issue(uri: string): Promise<IssuedCertificate>
}

/** Makes an authority with a root of its own, good for an hour. */
export async function createAuthority(): Promise<Authority> {
  const keys = await createKeyPair()
  const spki = publicKeyDer(keys.publicKey)
  const subject = { commonName: 'test root' }
  const issuer: Issuer = selfIssuer(keys.privateKey, spki, subject)
  const times = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) }
  const root = formatPem('CERTIFICATE', createCertificate({ subject, spki, names: {}, ...times, use: 'authority' }, issuer))
  return {
    root,
    async issue(uri) {
      const own = await createKeyPair()
      const certificate = createCertificate(
        { subject: {}, spki: publicKeyDer(own.publicKey), names: { uris: [uri] }, ...times, use: 'workload' },
        issuer,
      )
      return { certificate: formatPem('CERTIFICATE', certificate), key: privateKeyPem(own.privateKey) }
    },
  }
}
