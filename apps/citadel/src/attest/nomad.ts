import { decodeJwt, verifyJwt } from '@weft/identity/jwt'
import { WeftError } from '@weft/service/errors'
import type { TokenAttestor } from './attestation.ts'
import { identityOf } from './identities.ts'
import { createKeySet, readJwks } from './key-set.ts'

export interface NomadAttestorOptions {
  /** Nomad's `/.well-known/jwks.json`: an https or http URL, or a file. */
  jwks: string
  /** Nomad's `oidc_issuer`; empty where it has none, as then its tokens name none. */
  issuer: string
  /** The identity has to be made for one of these. */
  audiences: readonly string[]
  trustDomain: string
}

/**
 * Attests by a workload identity of Nomad (an `identity` block of a task or service): a token that Nomad signs for one allocation,
 * whose claims say the namespace and job. Tokens that are none of Nomad's are not its business.
 */
export function createNomadAttestor({ jwks, issuer, audiences, trustDomain }: NomadAttestorOptions): TokenAttestor {
  const keysFor = createKeySet(() => readJwks(jwks, '--nomad-jwks'))
  return {
    name: 'nomad',
    async attest(token) {
      const { header, claims: said } = decodeJwt(token)
      if (said.iss !== issuer || typeof said['nomad_job_id'] !== 'string') return undefined
      const claims = verifyJwt(token, await keysFor(header['kid']), { issuer, audiences })
      const { nomad_namespace: namespace, nomad_job_id: job, nomad_allocation_id: allocation } = claims
      if (typeof namespace !== 'string' || typeof job !== 'string' || typeof allocation !== 'string') {
        throw new WeftError('unauthenticated', 'the workload identity of Nomad does not say its namespace, job and allocation', {
          hint: 'use the token of an identity block of a task or service',
        })
      }
      return identityOf('nomad', { namespace, job }, trustDomain)
    },
  }
}
