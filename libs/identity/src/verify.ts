import { X509Certificate } from 'node:crypto'
import { WeftError } from '@weft/service/errors'
import { parsePem } from './pem.ts'
import { parseSpiffeId, type SpiffeId } from './spiffe-id.ts'

/** Longest chain that is followed, root included. */
const maxChainLength = 6

/** Reads all certificates of a PEM text. Throws `invalid_argument` for another kind of block or a broken certificate. */
export function parseCertificates(pem: string, what: string): X509Certificate[] {
  return parsePem(pem, what).map(({ label, der }, index) => {
    if (label !== 'CERTIFICATE')
      throw new WeftError('invalid_argument', `${what}: block ${index + 1} is a ${label}, not a CERTIFICATE`)
    try {
      return new X509Certificate(der)
    } catch (cause) {
      throw new WeftError('invalid_argument', `${what}: certificate ${index + 1} cannot be read`, { cause })
    }
  })
}

/**
 * The SPIFFE id of a certificate: its only URI name (X509-SVID specification, section 2: exactly one). Throws
 * `invalid_argument` when there is none, more than one, or it is not a SPIFFE id.
 */
export function spiffeIdOf(certificate: X509Certificate): SpiffeId {
  const uris = urisOf(certificate.subjectAltName)
  const [uri] = uris
  if (uri === undefined) throw new WeftError('invalid_argument', 'the certificate has no URI name, so no SPIFFE id')
  if (uris.length > 1) throw new WeftError('invalid_argument', `the certificate has ${uris.length} URI names instead of one`)
  return parseSpiffeId(uri)
}

/**
 * The URI names in Node's text form of a subjectAltName: entries split by `, `, a value with a special character as a
 * JSON string (so that no name can pretend to be another entry).
 */
export function urisOf(subjectAltName: string | undefined): string[] {
  const text = subjectAltName ?? ''
  const uris: string[] = []
  const entry = /([^:,"]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y
  while (entry.lastIndex < text.length) {
    const match = entry.exec(text)
    if (match === null) throw new WeftError('invalid_argument', 'the subjectAltName of the certificate cannot be read')
    if (match[1] === 'URI') uris.push(match[2] ?? '')
  }
  return uris
}

/**
 * Verifies that a chain (leaf first, then intermediates) leads to one of `roots` at a time: each link signed by the next,
 * every issuer a CA, all within their validity. Gives the leaf's SPIFFE id. Throws `unauthenticated` that says which link fails.
 */
export function verifyChain(chain: readonly X509Certificate[], roots: readonly X509Certificate[], now: Date): SpiffeId {
  const [leaf, ...intermediates] = chain
  if (leaf === undefined) throw new WeftError('unauthenticated', 'the certificate chain is empty')
  let current = leaf
  for (let depth = 0; depth < maxChainLength; depth += 1) {
    checkValidity(current, now)
    const root = roots.find((candidate) => issued(candidate, current))
    if (root !== undefined) {
      checkValidity(root, now)
      return spiffeIdOf(leaf)
    }
    const issuer = intermediates.find((candidate) => candidate !== current && issued(candidate, current))
    if (issuer === undefined) break
    current = issuer
  }
  throw new WeftError(
    'unauthenticated',
    `no trusted root has signed the certificate of ${leaf.subjectAltName ?? leaf.subject}: certificate signed by unknown authority`,
    {
      hint: 'compare the trust bundle with the one of the certificate authority',
    },
  )
}

/**
 * As `verifyChain`, but each trust domain has roots of its own: a root of one says nothing about the workloads of another.
 */
export function verifyPeer(
  chain: readonly X509Certificate[],
  rootsByTrustDomain: ReadonlyMap<string, readonly X509Certificate[]>,
  now: Date,
): SpiffeId {
  const [leaf] = chain
  if (leaf === undefined) throw new WeftError('unauthenticated', 'the certificate chain is empty')
  const { trustDomain } = spiffeIdOf(leaf)
  const roots = rootsByTrustDomain.get(trustDomain)
  if (roots === undefined) {
    throw new WeftError('unauthenticated', `no cert pool found for trust domain ${trustDomain}`, {
      hint: 'add the trust bundle of that trust domain',
    })
  }
  return verifyChain(chain, roots, now)
}

function issued(issuer: X509Certificate, subject: X509Certificate): boolean {
  return issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey)
}

function checkValidity(certificate: X509Certificate, now: Date): void {
  if (now < certificate.validFromDate) {
    throw new WeftError(
      'unauthenticated',
      `a certificate of the chain is not valid before ${certificate.validFromDate.toISOString()}`,
      {
        hint: 'compare the clocks of the machines',
      },
    )
  }
  if (now >= certificate.validToDate) {
    throw new WeftError('unauthenticated', `a certificate of the chain has expired at ${certificate.validToDate.toISOString()}`)
  }
}
