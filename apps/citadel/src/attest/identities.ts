import { parseSpiffeId, type SpiffeId, workloadId } from '@weft/identity/spiffe-id'
import { WeftError } from '@weft/service/errors'

/** What a proof says of its bearer, once it holds. */
export interface Proofs {
  /** A client certificate of this authority: its URI. */
  certificate: string
  /** A join token that Citadel minted: its subject. */
  'join-token': string
  /** A token of another issuer that is trusted (`--jwt-issuer`): its subject. */
  jwt: string
  /** A projected token of a Kubernetes service account, bound to a pod. */
  kubernetes: { namespace: string; serviceAccount: string }
  /** A workload identity of Nomad: the job that its task or service is of. */
  nomad: { namespace: string; job: string }
}

/**
 * Who may ask for which SPIFFE id: each kind of proof stands for exactly one identity, this one. Nothing else that a
 * request says makes it another; a request for another is refused (issue/policy.ts).
 */
const identityOfProof: { readonly [Kind in keyof Proofs]: (proof: Proofs[Kind], trustDomain: string) => SpiffeId } = {
  certificate: parseSpiffeId,
  'join-token': parseSpiffeId,
  jwt: (subject, trustDomain) => {
    const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(subject) ?? []
    if (namespace !== undefined && serviceAccount !== undefined) return workloadId(trustDomain, namespace, serviceAccount)
    return parseSpiffeId(subject)
  },
  kubernetes: ({ namespace, serviceAccount }, trustDomain) => workloadId(trustDomain, namespace, serviceAccount),
  nomad: ({ namespace, job }, trustDomain) => workloadId(trustDomain, namespace, job),
}

/** The identity that a proof stands for. Throws `unauthenticated` where it names no workload. */
export function identityOf<Kind extends keyof Proofs>(kind: Kind, proof: Proofs[Kind], trustDomain: string): SpiffeId {
  try {
    return identityOfProof[kind](proof, trustDomain)
  } catch (cause) {
    const said = typeof proof === 'string' ? proof : JSON.stringify(proof)
    throw new WeftError('unauthenticated', `the ${kind} of '${said.slice(0, 200)}' names no workload`, {
      hint: 'use a service account token, one whose subject is a SPIFFE id, or one of a job whose id is a plain word',
      cause,
    })
  }
}
