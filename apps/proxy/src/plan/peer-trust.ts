import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { peerCertificate, sentBeside } from '../transport/peer-certificate.ts'
import { certificateFields, keyUsages } from './certificate-fields.ts'
import type { RevocationList } from './revocation-list.ts'
import { isNamed, namesInOrder, type ValidationPlan } from './tls-material.ts'

/** Why a peer's certificate is not the one that is wanted. `text`: in Envoy's words. */
export interface PeerProblem {
  readonly lacks: 'trust' | 'name' | 'pin' | 'usage'
  readonly text: string
  /** What is wrong with its chain, as a word of Node's; empty: something else. */
  readonly word: string
}

/** What a peer showed in a handshake. */
export interface Presented {
  readonly certificate: X509Certificate
  /** Those that it sent beside its own. */
  sent(): readonly X509Certificate[]
  /**
   * OpenSSL's verdict on them, which of several is the last, as a word of Node's (`CERT_REVOKED`); empty: it is content.
   */
  readonly said: string
  /** Which of its chain that is about: 0 is its own. Absent: that is not told. */
  readonly depth?: number
}

/**
 * Says within a handshake whether the peer's certificate will do, and what is wrong with its chain as a word of Node's (empty: nothing), which
 * chooses the alert where it will not, and is known of its later sessions where it will all the same.
 */
export type PeerJudge = (presented: Presented) => { readonly isWanted: boolean; readonly word: string }

/** What the other end of a connection showed; null: no certificate. */
export function presentedBy(socket: TLSSocket): Presented | null {
  const certificate = peerCertificate(socket)
  if (certificate === undefined) return null
  return {
    certificate,
    sent: () => sentBeside(certificate),
    said: socket.authorized ? '' : String(socket.authorizationError),
  }
}

/** Names of a host that a certificate has to have: beside those that the configuration asks for, or in their place. */
export interface WantedHost {
  readonly beside: string
  readonly instead: string
}

const noHost: WantedHost = { beside: '', instead: '' }

/** Certificates that a peer sent beside its own that are looked at. */
const maxSent = 100

/** What OpenSSL says of dates. */
const datesAlone: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])

/** Whether more has to be looked at than OpenSSL's verdict: the certificates that a peer sent are needed then. */
export function isJudgedHere({ allowExpired, maxDepth, leafCrlOnly }: ValidationPlan): boolean {
  return allowExpired || maxDepth !== null || leafCrlOnly
}

/** What is wrong with a peer's certificate; null: nothing. */
export function peerProblem(
  presented: Presented,
  validation: ValidationPlan,
  { beside, instead }: WantedHost = noHost,
): PeerProblem | null {
  const { certificate: peer } = presented
  const chain = chainProblem(presented, validation)
  if (chain !== null)
    return {
      lacks: 'trust',
      text: `X509_verify_cert: certificate verification error at depth ${chain.depth}: ${wording(chain.word)}`,
      word: chain.word,
    }
  if (beside !== '' && !isNamed(peer, beside))
    return { lacks: 'name', text: `verify SAN list, expected SANs: [${beside}], certificate SANs: [${allNames(peer)}]`, word: '' }
  if (instead === '' ? !validation.isNamed(peer) : !isNamed(peer, instead))
    return { lacks: 'name', text: `SAN matcher, certificate SANs are [${allNames(peer)}]`, word: '' }
  return validation.isPinned(peer) ? null : { lacks: 'pin', text: 'cert hash and spki', word: '' }
}

/**
 * Whether a server may use its key as it did in this handshake: to sign, or to have secrets encrypted. (Envoy 1.40 asks that of
 * RSA keys too, whatever `enforce_rsa_key_usage` says.)
 */
export function usageProblem(certificate: X509Certificate, cipher: string): PeerProblem | null {
  const { keyUsage } = certificateFields(certificate)
  if (keyUsage === null) return null
  const signs = cipher.startsWith('TLS_') || cipher.startsWith('ECDHE-') || cipher.startsWith('DHE-')
  const needed = signs ? keyUsages.digitalSignature : keyUsages.keyEncipherment
  return (keyUsage & needed) !== 0 ? null : { lacks: 'usage', text: 'key usage', word: 'INVALID_PURPOSE' }
}

function allNames(certificate: X509Certificate): string {
  return namesInOrder(certificate).join(', ')
}

const againstLists = 'certificate revocation check against provided CRLs failed: '

/** Node's words in BoringSSL's. */
const wordings: Readonly<Record<string, string>> = {
  UNABLE_TO_GET_ISSUER_CERT: 'unable to get issuer certificate',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unable to get local issuer certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unable to get local issuer certificate',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'self signed certificate',
  SELF_SIGNED_CERT_IN_CHAIN: 'self signed certificate in certificate chain',
  CERT_HAS_EXPIRED: 'certificate has expired',
  CERT_NOT_YET_VALID: 'certificate is not yet valid',
  CERT_SIGNATURE_FAILURE: 'certificate signature failure',
  INVALID_CA: 'invalid CA certificate',
  UNHANDLED_CRITICAL_EXTENSION: 'unhandled critical extension',
  PERMITTED_VIOLATION: 'permitted subtree violation',
  EXCLUDED_VIOLATION: 'excluded subtree violation',
  PATH_LENGTH_EXCEEDED: 'path length constraint exceeded',
  INVALID_PURPOSE: 'unsupported certificate purpose',
  CERT_REVOKED: `${againstLists}certificate revoked`,
  UNABLE_TO_GET_CRL: `${againstLists}unable to get certificate CRL`,
  CRL_HAS_EXPIRED: `${againstLists}CRL has expired`,
  CRL_SIGNATURE_FAILURE: `${againstLists}CRL signature failure`,
}

function wording(word: string): string {
  return wordings[word] ?? word.toLowerCase().replaceAll('_', ' ')
}

/**
 * What is wrong with a peer's chain, as a word of Node's; null: nothing. Where dates do not count, or more does than OpenSSL was
 * told, the way to an authority is looked for here.
 */
function chainProblem(
  { certificate, sent, said, depth = 0 }: Presented,
  validation: ValidationPlan,
): { readonly word: string; readonly depth: number } | null {
  const { allowExpired, maxDepth: most, leafCrlOnly, revocations } = validation
  if (validation.ca === null) return null
  const ignoresDates = allowExpired && datesAlone.has(said)
  if (said !== '' && !ignoresDates) return { word: said, depth }
  if (!ignoresDates && most === null && !leafCrlOnly) return null
  // Another problem may hide behind the date.
  const path = trustPath(certificate, sent(), validation.authorities())
  if (path === null) return { word: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', depth: 0 }
  // The authority counts, the peer's own certificate does not; one authority may always be, as with Envoy.
  const limit = most === null ? path.length : Math.max(1, most)
  if (path.length - 1 > limit) return { word: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', depth: limit }
  if (revocations.length === 0 || !(ignoresDates || leafCrlOnly)) return null
  for (const [i, one] of (leafCrlOnly ? path.slice(0, 1) : path).entries()) {
    const word = revocationProblem(one, path[i + 1] ?? one, revocations)
    if (word !== null) return { word, depth: i }
  }
  return null
}

/** From a certificate to one that is trusted, both included, over those that the peer sent; null: there is no such way. */
function trustPath(
  peer: X509Certificate,
  sent: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): X509Certificate[] | null {
  const path = [peer]
  for (let at = peer; path.length <= maxSent + 1; ) {
    if (authorities.some(({ raw }) => raw.equals(at.raw))) return path
    const issuer = authorities.find((one) => isIssuer(one, at)) ?? sent.find((one) => !path.includes(one) && isIssuer(one, at))
    if (issuer === undefined) return null
    path.push(issuer)
    at = issuer
  }
  return null
}

function isIssuer(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function revocationProblem(
  certificate: X509Certificate,
  issuer: X509Certificate,
  revocations: readonly RevocationList[],
): string | null {
  const fields = certificateFields(certificate)
  const lists = revocations.filter((list) => list.issuer === fields.issuer)
  if (lists.length === 0 || certificateFields(issuer).subject !== fields.issuer) return 'UNABLE_TO_GET_CRL'
  const signed = lists.filter((list) => list.isSignedBy(issuer.publicKey))
  if (signed.length === 0) return 'CRL_SIGNATURE_FAILURE'
  if (signed.some(({ revoked }) => revoked.has(fields.serial))) return 'CERT_REVOKED'
  const now = Date.now()
  return signed.some(({ thisUpdateMs, nextUpdateMs }) => thisUpdateMs <= now && now < nextUpdateMs) ? null : 'CRL_HAS_EXPIRED'
}
