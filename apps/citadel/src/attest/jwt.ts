import { readFile } from 'node:fs/promises'
import { decodeJwt, type JwtKey, parseJwks, verifyJwt } from '@weft/identity/jwt'
import { parseSpiffeId, type SpiffeId, workloadId } from '@weft/identity/spiffe-id'
import { WeftError } from '@weft/service/errors'
import type { TokenAttestor } from './attestation.ts'

export interface JwtAttestorOptions {
  issuer: string
  audiences: readonly string[]
  /** Where the issuer's JSON Web Key Set is: an https or http URL, or a file. */
  jwks: string
  trustDomain: string
}

/** Key sets are kept this long, and fetched again for an unknown key at most this often. */
const freshMs = 5 * 60_000
const retryMs = 5_000
const fetchTimeoutMs = 3_000
const maxJwksBytes = 1 << 20

/**
 * Attests by a JSON Web Token of one issuer: Kubernetes' projected service account tokens (subject
 * `system:serviceaccount:<namespace>:<name>`), or any whose subject is a SPIFFE id. Tokens of other issuers are not its business.
 */
export function createJwtAttestor({ issuer, audiences, jwks, trustDomain }: JwtAttestorOptions): TokenAttestor {
  let keys: JwtKey[] = []
  let loadedAt = Number.NEGATIVE_INFINITY
  let loading: Promise<void> | undefined
  const load = async (): Promise<void> => {
    loading ??= readJwks(jwks)
      .then((text) => {
        keys = parseJwks(text)
      })
      .finally(() => {
        // Also after a failure: callers are many, and the issuer is asked again only after a pause.
        loadedAt = performance.now()
        loading = undefined
      })
    await loading
  }
  return {
    name: 'jwt',
    async attest(token) {
      const { header, claims } = decodeJwt(token)
      if (claims.iss !== issuer) return undefined
      const age = performance.now() - loadedAt
      const isUnknown = typeof header['kid'] === 'string' && !keys.some(({ kid }) => kid === header['kid'])
      if (age > freshMs || ((isUnknown || keys.length === 0) && age > retryMs)) {
        await load().catch((error: unknown) => {
          // The last good keys go on being used.
          if (keys.length === 0) throw error
        })
      }
      return identityOf(verifyJwt(token, keys, { issuer, audiences }).sub, trustDomain)
    },
  }
}

/** The workload that a token's subject names. Throws `unauthenticated` for other subjects. */
export function identityOf(subject: string, trustDomain: string): SpiffeId {
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(subject)
  const [, namespace, serviceAccount] = account ?? []
  try {
    if (namespace !== undefined && serviceAccount !== undefined) return workloadId(trustDomain, namespace, serviceAccount)
    return parseSpiffeId(subject)
  } catch (cause) {
    throw new WeftError('unauthenticated', `the token's subject '${subject.slice(0, 200)}' names no workload`, {
      hint: 'use a service account token, or one whose subject is a SPIFFE id',
      cause,
    })
  }
}

async function readJwks(source: string): Promise<string> {
  const unavailable = (reason: string, cause?: unknown): WeftError =>
    new WeftError('unavailable', `the issuer's keys cannot be read: ${reason}`, {
      where: { file: source },
      hint: 'check --jwt-jwks',
      cause,
    })
  if (!/^https?:\/\//.test(source)) {
    return readFile(source, 'utf8').catch((cause: unknown) => {
      throw unavailable(WeftError.from(cause).message, cause)
    })
  }
  try {
    const response = await fetch(source, { signal: AbortSignal.timeout(fetchTimeoutMs), redirect: 'error' })
    if (!response.ok) throw new Error(`status ${response.status}`)
    let text = ''
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true })
      if (text.length > maxJwksBytes) throw new Error(`more than ${maxJwksBytes} bytes`)
    }
    return text
  } catch (cause) {
    throw unavailable(WeftError.from(cause).message, cause)
  }
}
