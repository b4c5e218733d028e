import { X509Certificate } from 'node:crypto'
import { createCertificate, selfIssuer } from '@weft/identity/certificate'
import type { IdentityMaterial } from '@weft/identity/certificate-holder'
import { createKeyPair, privateKeyPem, publicKeyDer } from '@weft/identity/keys'
import { formatPem } from '@weft/identity/pem'

/** A certificate of a new root, for a DNS name. */
export async function serverCertificate(dns: string): Promise<IdentityMaterial> {
  const [rootKeys, keys] = await Promise.all([createKeyPair(), createKeyPair()])
  const now = new Date()
  const life = { notBefore: new Date(now.getTime() - 60_000), notAfter: new Date(now.getTime() + 3_600_000) }
  const subject = { commonName: `root of ${dns}` }
  const rootSpki = publicKeyDer(rootKeys.publicKey)
  const issuer = selfIssuer(rootKeys.privateKey, rootSpki, subject)
  const root = createCertificate({ ...life, subject, spki: rootSpki, names: {}, use: 'authority' }, issuer)
  const leaf = createCertificate(
    { ...life, subject: {}, spki: publicKeyDer(keys.publicKey), names: { dns: [dns] }, use: 'workload' },
    issuer,
  )
  return {
    id: 'spiffe://cluster.local/ns/istio-system/sa/pilot',
    privateKeyPem: privateKeyPem(keys.privateKey),
    chainPem: formatPem('CERTIFICATE', leaf),
    bundlePem: formatPem('CERTIFICATE', root),
    roots: [new X509Certificate(root)],
    issuedAt: now,
    notAfter: life.notAfter,
  }
}
