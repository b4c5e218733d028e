import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { join } from 'node:path'
import { spiffeBundle } from '@weft/identity/trust-bundle'
import { WeftError } from '@weft/service/errors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { JoinTokens } from '../attest/join-token.ts'
import type { CurrentAuthority } from '../authority/current.ts'
import { fileMode, readSecretIfThere, writeFileAtomically } from '../authority/files.ts'
import type { RootRotation } from '../authority/rotation.ts'
import { readRotationRequest, readTokenRequest } from './operator-requests.ts'
import type { OpenStreams } from './secrets/streams.ts'

export interface AdminOptions {
  /** Absent when the root is plugged in: then its owner rotates it. */
  rotation: RootRotation | undefined
  streams: OpenStreams
  authority: CurrentAuthority
  tokens: JoinTokens
  trustDomain: string
  operatorToken: string
}

/**
 * Citadel's routes on the admin server: `GET /v1/bundle` (SPIFFE bundle), `GET /v1/root.pem`, `GET /v1/jwks` (the key of the join
 * tokens), and, with the operator token, `POST /v1/tokens` and `GET` and `POST /v1/rotation`.
 */
export function adminRoutes(server: FastifyInstance, options: AdminOptions): void {
  const { authority, tokens, trustDomain, operatorToken } = options
  const operator = async ({ headers }: FastifyRequest): Promise<void> => checkOperator(headers.authorization, operatorToken)
  server.get('/v1/bundle', async () => spiffeBundle(authority.get().roots))
  server.get('/v1/root.pem', async (_request, reply) => reply.type('application/x-pem-file').send(authority.get().bundlePem))
  server.get('/v1/jwks', async () => ({ keys: [tokens.publicJwk()] }))
  server.post('/v1/tokens', { onRequest: operator }, async ({ body }) => ({
    tokens: readTokenRequest(body, trustDomain).map(({ identity, ttlSeconds }) => {
      const { token, expiresAt } = tokens.mint(identity, ttlSeconds)
      return { identity: identity.uri, token, expiresAt: expiresAt.toISOString() }
    }),
  }))
  rotationRoutes(server, options, operator)
}

function rotationRoutes(
  server: FastifyInstance,
  { rotation, streams }: AdminOptions,
  operator: (request: FastifyRequest) => Promise<void>,
): void {
  const need = (): RootRotation => {
    if (rotation !== undefined) return rotation
    throw new WeftError('failed_precondition', 'the root is plugged in, so Citadel does not rotate it', {
      hint: 'put both roots into root-cert.pem of --ca-dir and start again, then replace ca-cert.pem and ca-key.pem',
    })
  }
  server.get('/v1/rotation', { onRequest: operator }, async () => ({ ...need().status(), ...streams.status() }))
  server.post('/v1/rotation', { onRequest: operator }, async ({ body }) => {
    const { step, force } = readRotationRequest(body)
    return { ...(await need().take(step, force)), ...streams.status() }
  })
}

/** Opens the operator token in the data folder (`operator.token`, 0600), or makes it at the first start. */
export async function openOperatorToken(dataDir: string): Promise<string> {
  const file = join(dataDir, 'operator.token')
  const known = (await readSecretIfThere(file))?.trim()
  if (known !== undefined && known.length >= 16) return known
  if (known !== undefined) {
    throw new WeftError('failed_precondition', 'the operator token is shorter than 16 characters', {
      where: { file },
      hint: 'remove the file: the next start makes a new one',
    })
  }
  const token = randomBytes(32).toString('base64url')
  await writeFileAtomically(file, `${token}\n`, fileMode.secret)
  return token
}

function checkOperator(header: string | undefined, operatorToken: string): void {
  const given = /^Bearer (\S+)$/i.exec(header ?? '')?.[1]
  if (given !== undefined && timingSafeEqual(digest(given), digest(operatorToken))) return
  throw new WeftError('unauthenticated', given === undefined ? 'no operator token' : 'this is not the operator token', {
    hint: 'send `Authorization: Bearer` and the content of operator.token in the data folder of Citadel',
  })
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
