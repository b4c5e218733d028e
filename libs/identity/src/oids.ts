import { type Asn1, nothing, oid, sequence } from './der.ts'

/** The object identifiers of X.509 and PKCS that are used here. */
export const oids = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  extensionRequest: '1.2.840.113549.1.9.14',
} as const

/**
 * AlgorithmIdentifier of a signature: RSA carries NULL parameters, ECDSA none (RFC 5758, section 3.2; RFC 4055). Trees are not
 * changed once made, so one is made for each algorithm.
 */
export function algorithmIdentifier(algorithm: string): Asn1 {
  let node = identifiers.get(algorithm)
  if (node === undefined) {
    node = algorithm.startsWith('1.2.840.113549.') ? sequence(oid(algorithm), nothing()) : sequence(oid(algorithm))
    identifiers.set(algorithm, node)
  }
  return node
}

const identifiers = new Map<string, Asn1>()
