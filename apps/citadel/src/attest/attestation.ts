import type { Metadata } from '@grpc/grpc-js'
import { type CallWithPeer, peerIdentity } from '@weft/identity/peer-identity'
import type { SpiffeId } from '@weft/identity/spiffe-id'
import { WeftError } from '@weft/service/errors'
import { identityOf } from './identities.ts'

/** Who is asking, and by which proof. */
export interface Attested {
  identity: SpiffeId
  by: string
}

/** Turns a bearer token into an identity; undefined when the token is not of its kind, an error when it is but does not hold. */
export interface TokenAttestor {
  name: string
  attest(token: string): Promise<SpiffeId | undefined> | SpiffeId | undefined
}

export interface AttestOptions {
  trustDomain: string
  tokens: readonly TokenAttestor[]
}

/** The part of a server call that attestation looks at. */
export interface AttestableCall extends CallWithPeer {
  metadata: Metadata
}

const maxTokenBytes = 16 << 10

/**
 * Finds out who calls: by the client certificate that TLS has verified (renewal), else by the bearer token in the metadata
 * `authorization`. Throws `unauthenticated` that says what to do.
 */
export async function attest(call: AttestableCall, { trustDomain, tokens }: AttestOptions): Promise<Attested> {
  const certified = peerIdentity(call)
  if (certified !== undefined)
    return { identity: inTrustDomain(identityOf('certificate', certified, trustDomain), trustDomain), by: 'certificate' }
  const [header] = call.metadata.get('authorization')
  if (header === undefined) {
    throw new WeftError('unauthenticated', 'the caller shows neither a join token nor a client certificate', {
      hint: 'send the metadata `authorization: Bearer <join token>`; mint a token with `weft ca token`',
    })
  }
  const token = /^Bearer ([\x21-\x7e]+)$/i.exec(String(header).trim())?.[1]
  if (token === undefined || token.length > maxTokenBytes) {
    throw new WeftError('unauthenticated', 'the metadata `authorization` is not `Bearer <token>`', {
      hint: 'mint a join token with `weft ca token` and send it after the word Bearer',
    })
  }
  for (const attestor of tokens) {
    const identity = await attestor.attest(token)
    if (identity !== undefined) return { identity: inTrustDomain(identity, trustDomain), by: attestor.name }
  }
  throw new WeftError('unauthenticated', 'the token is of no kind that this Citadel accepts', {
    hint: 'mint a join token with `weft ca token`',
  })
}

function inTrustDomain(identity: SpiffeId, trustDomain: string): SpiffeId {
  if (identity.trustDomain === trustDomain && identity.path !== '') return identity
  throw new WeftError('unauthenticated', `${identity.uri} is no workload of the trust domain ${trustDomain}`, {
    hint: 'use a token of this mesh',
  })
}
