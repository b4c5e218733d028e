import { parseCertificateRequest } from '@weft/identity/certificate-request'
import { formatPem } from '@weft/identity/pem'
import type { SpiffeId } from '@weft/identity/spiffe-id'
import type { Authority } from '../authority/authority.ts'
import { backdateSeconds, checkRequestedNames, type IssuePolicy, lifetimeSeconds } from './policy.ts'

/** A certificate that was issued, with what its owner needs beside it. */
export interface Issued {
  /** PEM certificates, leaf first, without the root. */
  chain: string[]
  /** PEM of all trusted roots. */
  bundlePem: string
  notAfter: Date
  /** Who has signed. */
  authority: Authority
}

/**
 * A certificate for a PEM request: its proof of possession, key and names are checked by the policy, the attested identity
 * becomes its name (with that of its Service, if asked for), and it never outlives the authority. Throws what the policy throws.
 */
export function issueForRequest(
  authority: Authority,
  policy: IssuePolicy,
  attested: SpiffeId,
  csrPem: string,
  requestedTtlSeconds: number,
): Issued {
  const ttlSeconds = lifetimeSeconds(requestedTtlSeconds, policy)
  const request = parseCertificateRequest(csrPem)
  checkRequestedNames(request, attested)
  return issueForKey(authority, attested, request.publicKey.spki, ttlSeconds, { dns: request.names.dns })
}

/** A certificate for a public key that is known to be the attested caller's. `names` go beside the SPIFFE id. */
export function issueForKey(
  authority: Authority,
  identity: SpiffeId,
  spki: Buffer,
  ttlSeconds: number,
  names: { dns?: string[]; ips?: string[] } = {},
): Issued {
  const now = Date.now()
  const { der, notAfter } = authority.sign({
    subject: {},
    spki,
    names: { uris: [identity.uri], ...names },
    notBefore: new Date(now - backdateSeconds * 1000),
    // A certificate has whole seconds: round up, so that a life is never shorter than was asked for.
    notAfter: new Date(Math.ceil(now / 1000 + ttlSeconds) * 1000),
    use: 'workload',
  })
  return {
    chain: [formatPem('CERTIFICATE', der), ...authority.intermediates],
    bundlePem: authority.bundlePem,
    notAfter,
    authority,
  }
}
