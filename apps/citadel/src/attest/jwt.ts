import { readFile } from 'node:fs/promises'
import { decodeJwt, verifyJwt } from '@weft/identity/jwt'
import { WeftError } from '@weft/service/errors'
import type { TokenAttestor } from './attestation.ts'
import { identityOf } from './identities.ts'
import { createKeySet, maxJwksBytes } from './key-set.ts'

export interface JwtAttestorOptions {
  issuer: string
  audiences: readonly string[]
  /** Where the issuer's JSON Web Key Set is: an https or http URL, or a file. */
  jwks: string
  trustDomain: string
}

const fetchTimeoutMs = 3_000

/**
 * Attests by a JSON Web Token of one issuer: Kubernetes' projected service account tokens (subject
 * `system:serviceaccount:<namespace>:<name>`), or any whose subject is a SPIFFE id. Tokens of other issuers are not its business.
 */
export function createJwtAttestor({ issuer, audiences, jwks, trustDomain }: JwtAttestorOptions): TokenAttestor {
  const keysFor = createKeySet(() => readJwks(jwks))
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
