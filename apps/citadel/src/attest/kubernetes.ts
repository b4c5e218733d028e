import { decodeJwt, type JwtClaims, verifyJwt } from '@weft/identity/jwt'
import type { KubernetesClient } from '@weft/kubernetes/client'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import type { TokenAttestor } from './attestation.ts'
import { identityOf } from './identities.ts'
import { createKeySet } from './key-set.ts'

export interface KubernetesAttestorOptions {
  client: KubernetesClient
  /** The token has to be made for one of these: `istio-ca`. */
  audiences: readonly string[]
  trustDomain: string
  /**
   * `review` asks the API server about each token (TokenReview), which knows of pods that are gone; `offline` verifies it by the
   * API server's keys, which are read now and then: it goes on while the API server is away.
   */
  mode: 'review' | 'offline'
}

/** Reviews at a time, and how many may wait: after a restart of the mesh all ask at once. */
const reviewsAtOnce = 32
const maxWaiting = 10_000
const reviewTimeoutMs = 5_000

/** What is known of the bearer of a token that holds. */
interface Bearer {
  namespace: string
  serviceAccount: string
  pod: string | undefined
}

/**
 * Attests by a projected service-account token: it has to be made for this authority (audience) and bound to a pod, so that one
 * that leaks ends with its pod. Tokens that are none of Kubernetes' are not its business.
 */
export function createKubernetesAttestor(options: KubernetesAttestorOptions): TokenAttestor {
  const { trustDomain, mode } = options
  const bearerOf = mode === 'review' ? byReview(options) : byKeys(options)
  return {
    name: 'kubernetes',
    async attest(token) {
      const { claims, header } = decodeJwt(token)
      if (!claims.sub.startsWith('system:serviceaccount:') || typeof claims['kubernetes.io'] !== 'object') return undefined
      const bearer = await bearerOf(token, header['kid'])
      if (bearer.pod === undefined) {
        throw new WeftError('unauthenticated', `the token of ${bearer.namespace}/${bearer.serviceAccount} is bound to no pod`, {
          hint: 'use the token that a pod gets by a projected volume',
        })
      }
      return identityOf('kubernetes', bearer, trustDomain)
    },
  }
}

const extraSchema = z.record(z.string(), z.array(z.string()))
const reviewSchema = z.object({
  status: z.object({
    authenticated: z.boolean().default(false),
    error: z.string().default(''),
    audiences: z.array(z.string()).default([]),
    user: z.object({ username: z.string().default(''), extra: extraSchema.default({}) }).default({ username: '', extra: {} }),
  }),
})

/** Asks the API server. The same token is asked about once at a time. */
function byReview({ client, audiences }: KubernetesAttestorOptions): (token: string) => Promise<Bearer> {
  const running = new Map<string, Promise<Bearer>>()
  const inTurn = limited(reviewsAtOnce, maxWaiting)
  const review = async (token: string): Promise<Bearer> => {
    const answer = await client.call({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/tokenreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } },
      timeoutMs: reviewTimeoutMs,
    })
    const { status } = reviewSchema.parse(answer)
    // The list of audiences is the server's word that it looked at them: one that did not would take any.
    if (!status.authenticated || !status.audiences.some((audience) => audiences.includes(audience))) {
      throw refused(status.error || `it was not made for ${audiences.join(' or ')}`)
    }
    const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(status.user.username) ?? []
    if (namespace === undefined || serviceAccount === undefined) throw refused(`${status.user.username} is no service account`)
    return { namespace, serviceAccount, pod: status.user.extra['authentication.kubernetes.io/pod-name']?.[0] }
  }
  return (token) => {
    const known = running.get(token) ?? inTurn(() => review(token)).finally(() => running.delete(token))
    running.set(token, known)
    return known
  }
}

/** Runs so much of the work at a time; the rest waits in order, and what comes when too much waits is refused. */
function limited(atOnce: number, waitingMost: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0
  const waiting: (() => void)[] = []
  return async (work) => {
    if (waiting.length >= waitingMost) {
      throw new WeftError('resource_exhausted', `${waiting.length} tokens are waiting for their review already`, {
        hint: 'try again in a second',
      })
    }
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve))
    running += 1
    try {
      return await work()
    } finally {
      running -= 1
      waiting.shift()?.()
    }
  }
}

const issuerSchema = z.object({ issuer: z.string() })
const boundSchema = z.object({
  namespace: z.string(),
  serviceaccount: z.object({ name: z.string() }),
  pod: z.object({ name: z.string(), uid: z.string() }).optional(),
})

/** Verifies by the API server's keys and issuer, as its discovery documents tell them. */
function byKeys({ client, audiences }: KubernetesAttestorOptions): (token: string, kid: unknown) => Promise<Bearer> {
  let issuer = ''
  const keysFor = createKeySet(async () => {
    issuer = issuerSchema.parse(await client.call({ path: '/.well-known/openid-configuration' })).issuer
    return JSON.stringify(await client.call({ path: '/openid/v1/jwks' }))
  })
  return async (token, kid) => {
    const keys = await keysFor(kid)
    return bearerOfClaims(verifyJwt(token, keys, { issuer, audiences }))
  }
}

function bearerOfClaims(claims: JwtClaims): Bearer {
  const bound = boundSchema.safeParse(claims['kubernetes.io'])
  if (!bound.success) throw refused('it does not say whose it is')
  const { namespace, serviceaccount, pod } = bound.data
  if (claims.sub !== `system:serviceaccount:${namespace}:${serviceaccount.name}`) throw refused('it contradicts itself')
  return { namespace, serviceAccount: serviceaccount.name, pod: pod?.name }
}

function refused(reason: string): WeftError {
  return new WeftError('unauthenticated', `the service-account token is refused: ${reason}`, {
    hint: 'mount one with the audience of this mesh, and see that its pod is there',
  })
}
