import { WeftError } from '@weft/service/errors'
import { parseSpiffeId, type SpiffeId, workloadId } from './spiffe-id.ts'

/** What a workload can read from its own join token. Nothing is verified: that is the authority's part. */
export interface JoinTokenClaims {
  identity: SpiffeId
  expiresAt: Date
}

/**
 * Reads the claims of a join token, or of a service-account token of Kubernetes (whose identity is of `trustDomain`), without
 * verifying it. Throws `invalid_argument` when it is no token.
 */
export function readJoinToken(token: string, file: string, trustDomain: string): JoinTokenClaims {
  const where = { file }
  const hint = 'mint one with `weft ca token` and write it to this file'
  const payload = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token)?.[1]
  if (payload === undefined) throw new WeftError('invalid_argument', 'this is not a join token', { where, hint })
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    if (typeof claims !== 'object' || claims === null || !('sub' in claims) || !('exp' in claims)) throw new Error('no claims')
    const { sub, exp } = claims
    if (typeof sub !== 'string' || typeof exp !== 'number') throw new Error('claims of the wrong type')
    const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(sub) ?? []
    const identity =
      namespace === undefined || account === undefined ? parseSpiffeId(sub) : workloadId(trustDomain, namespace, account)
    return { identity, expiresAt: new Date(exp * 1000) }
  } catch (cause) {
    throw new WeftError('invalid_argument', 'the join token names no SPIFFE id or expiry', { where, hint, cause })
  }
}
