import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomUUID, sign, verify } from 'node:crypto'
import { join } from 'node:path'
import { createKeyPair, privateKeyPem, publicKeyDer } from '@weft/identity/keys'
import type { SpiffeId } from '@weft/identity/spiffe-id'
import { WeftError } from '@weft/service/errors'
import { fileMode, readSecretIfThere, writeFileAtomically } from '../authority/files.ts'
import type { TokenAttestor } from './attestation.ts'
import { identityOf } from './identities.ts'

/** Mints and verifies join tokens: ES256 JWTs, each bound to one SPIFFE id, reusable until they expire. */
export interface JoinTokens extends TokenAttestor {
  attest(token: string): SpiffeId | undefined
  mint(identity: SpiffeId, ttlSeconds: number): { token: string; expiresAt: Date }
  /** The key by which others may verify these tokens, as a JSON Web Key. */
  publicJwk(): Record<string, string>
}

const audience = 'weft:join'
const mintHint = 'mint a new one with `weft ca token` at this Citadel and write it to the token file of the workload'

/** Longest time of a join token: one that outlives the memory of who holds it is a password. */
export const maxTokenSeconds = 366 * 24 * 3600

/** Verified tokens that are remembered, so that a renewal costs no signature check. */
const rememberedTokens = 10_000

/** Opens the token key in the data folder (`token-key.pem`, 0600), or makes it at the first start. */
export async function openJoinTokens(dataDir: string, trustDomain: string): Promise<JoinTokens> {
  const file = join(dataDir, 'token-key.pem')
  const pem = await readSecretIfThere(file)
  if (pem !== undefined) {
    try {
      return createJoinTokens(createPrivateKey(pem), trustDomain)
    } catch (cause) {
      throw new WeftError('failed_precondition', 'the token key cannot be read', {
        where: { file },
        hint: 'restore it, or remove it (all join tokens then have to be minted again)',
        cause,
      })
    }
  }
  const { privateKey } = await createKeyPair()
  await writeFileAtomically(file, privateKeyPem(privateKey), fileMode.secret)
  return createJoinTokens(privateKey, trustDomain)
}

/** Join tokens signed by a P-256 key. */
function createJoinTokens(key: KeyObject, trustDomain: string): JoinTokens {
  const publicKey = createPublicKey(key)
  const kid = createHash('sha256').update(publicKeyDer(publicKey)).digest('base64url').slice(0, 16)
  const issuer = `spiffe://${trustDomain}`
  const header = base64Json({ alg: 'ES256', typ: 'JWT', kid })
  const verified = new Map<string, Claims>()

  const claimsOf = (token: string): Claims | undefined => {
    const known = verified.get(token)
    if (known !== undefined) return known
    const parts = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(token)
    const claims = readClaims(parts?.[2])
    if (parts === null || claims === undefined) {
      throw new WeftError('unauthenticated', 'the join token cannot be read: it is no JSON Web Token', { hint: mintHint })
    }
    // Another issuer's tokens are another attestor's business.
    if (claims.aud !== audience) return undefined
    const [, head, body, signature = ''] = parts
    const signed = verify(
      'sha256',
      Buffer.from(`${head}.${body}`),
      { key: publicKey, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    )
    if (head !== header || claims.iss !== issuer || !signed) {
      throw new WeftError('unauthenticated', `the join token for ${claims.sub.slice(0, 200)} was not minted by this Citadel`, {
        hint: mintHint,
      })
    }
    const [oldest] = verified.size >= rememberedTokens ? verified.keys() : []
    if (oldest !== undefined) verified.delete(oldest)
    verified.set(token, claims)
    return claims
  }

  return {
    name: 'join-token',
    attest(token) {
      const claims = claimsOf(token)
      if (claims === undefined) return undefined
      if (claims.exp * 1000 <= Date.now()) {
        verified.delete(token)
        const expiry = new Date(claims.exp * 1000).toISOString()
        throw new WeftError('unauthenticated', `the join token for ${claims.sub} has expired at ${expiry}`, { hint: mintHint })
      }
      return identityOf('join-token', claims.sub, trustDomain)
    },
    mint(identity, ttlSeconds) {
      const now = Math.floor(Date.now() / 1000)
      const exp = now + ttlSeconds
      const body = base64Json({ iss: issuer, sub: identity.uri, aud: audience, iat: now, exp, jti: randomUUID() })
      const signature = sign('sha256', Buffer.from(`${header}.${body}`), { key, dsaEncoding: 'ieee-p1363' })
      return { token: `${header}.${body}.${signature.toString('base64url')}`, expiresAt: new Date(exp * 1000) }
    },
    publicJwk() {
      const { kty = '', crv = '', x = '', y = '' } = publicKey.export({ format: 'jwk' })
      return { kty, crv, x, y, kid, alg: 'ES256', use: 'sig' }
    },
  }
}

interface Claims {
  iss: string
  sub: string
  aud: string
  exp: number
}

function readClaims(body: string | undefined): Claims | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(body ?? '', 'base64url').toString('utf8'))
    if (typeof claims !== 'object' || claims === null) return undefined
    const { iss, sub, aud, exp } = { iss: '', sub: '', aud: '', exp: 0, ...claims }
    if (typeof iss !== 'string' || typeof sub !== 'string' || typeof exp !== 'number') return undefined
    return { iss, sub, aud: typeof aud === 'string' ? aud : '', exp }
  } catch {
    return undefined
  }
}

function base64Json(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
