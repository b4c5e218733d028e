import { namesOf, type TlsCertificatePlan } from './tls-material.ts'

/** Which of a server's certificates a handshake may show: one for each kind of key, among which the client's abilities decide. */
export type CertificateChoice = (serverName: string) => readonly TlsCertificatePlan[]

/**
 * Chooses by the name that a client asks for (SNI): certificates of that very name, else those whose wildcard stands for it, else
 * the first one alone, or any where `anyOnMismatch` says so. A client that names none may get any.
 */
export function chooseCertificates(certificates: readonly TlsCertificatePlan[], anyOnMismatch: boolean): CertificateChoice {
  if (certificates.length < 2) return () => certificates
  const byName = new Map<string, TlsCertificatePlan[]>()
  for (const certificate of certificates) {
    for (const name of hostNames(certificate)) {
      const known = byName.get(name)
      if (known === undefined) byName.set(name, [certificate])
      else known.push(certificate)
    }
  }
  const any = firstOfEachKind(certificates)
  const others = anyOnMismatch ? any : certificates.slice(0, 1)
  const chosen = new Map([...byName].map(([name, named]) => [name, firstOfEachKind(named)] as const))
  return (serverName) => {
    if (serverName === '') return any
    const name = serverName.toLowerCase()
    const dot = name.indexOf('.')
    return chosen.get(name) ?? (dot > 0 ? chosen.get(`*${name.slice(dot)}`) : undefined) ?? others
  }
}

/** A certificate's DNS names; without alternative names that of its subject counts. */
function hostNames({ leaf }: TlsCertificatePlan): string[] {
  const { dnsNames } = namesOf(leaf)
  const common = leaf.subjectAltName === undefined ? /^CN=(.*)$/m.exec(leaf.subject)?.[1] : undefined
  return (common === undefined ? dnsNames : [common]).map((name) => name.toLowerCase())
}

/** OpenSSL takes one certificate for each kind of key. */
export function firstOfEachKind(certificates: readonly TlsCertificatePlan[]): readonly TlsCertificatePlan[] {
  const byKind = new Map<string | undefined, TlsCertificatePlan>()
  for (const certificate of certificates) {
    const kind = certificate.leaf.publicKey.asymmetricKeyType
    if (!byKind.has(kind)) byKind.set(kind, certificate)
  }
  return [...byKind.values()]
}
