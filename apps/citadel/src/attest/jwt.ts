import { decodeJwt, verifyJwt } from '@weft/identity/jwt'
import type { TokenAttestor } from './attestation.ts'
import { identityOf } from './identities.ts'
import { createKeySet, readJwks } from './key-set.ts'

export interface JwtAttestorOptions {
  issuer: string
  audiences: readonly string[]
  /** Where the issuer's JSON Web Key Set is: an https or http URL, or a file. */
  jwks: string
  trustDomain: string
}

/**
 * Attests by a JSON Web Token of one issuer: Kubernetes' projected service account tokens (subject
 * `system:serviceaccount:<namespace>:<name>`), or any whose subject is a SPIFFE id. Tokens of other issuers are not its business.
 */
export function createJwtAttestor({ issuer, audiences, jwks, trustDomain }: JwtAttestorOptions): TokenAttestor {
  const keysFor = createKeySet(() => readJwks(jwks, '--jwt-jwks'))
  return {
    name: 'jwt',
    async attest(token) {
      const { header, claims } = decodeJwt(token)
      if (claims.iss !== issuer) return undefined
      const keys = await keysFor(header['kid'])
      return identityOf('jwt', verifyJwt(token, keys, { issuer, audiences }).sub, trustDomain)
    },
  }
}
