import { parseSpiffeId, type SpiffeId } from '@weft/identity/spiffe-id'
import { WeftError } from '@weft/service/errors'
import { maxTokenSeconds } from '../attest/join-token.ts'
import { type RotationStep, rotationSteps } from '../authority/rotation.ts'

// Read by hand: compiling JSON schemas would double the time that the admin server takes to start.

/** Most join tokens in one request. */
const maxTokens = 1_000

/** What `POST /v1/tokens` asks for. Throws `invalid_argument` with the path of what is wrong. */
export function readTokenRequest(body: unknown, trustDomain: string): { identity: SpiffeId; ttlSeconds: number }[] {
  const { tokens } = fieldsOf(body, ['tokens'], 'body', 'send {"tokens":[{"identity":"spiffe://…","ttlSeconds":3600}]}')
  if (!Array.isArray(tokens) || tokens.length === 0 || tokens.length > maxTokens) {
    throw bad('tokens', `must be a list of 1 to ${maxTokens}`)
  }
  return tokens.map((token: unknown, index) => {
    const path = `tokens.${index}`
    const { identity, ttlSeconds } = fieldsOf(token, ['identity', 'ttlSeconds'], path)
    if (typeof identity !== 'string') throw bad(`${path}.identity`, 'must be a SPIFFE id')
    if (typeof ttlSeconds !== 'number' || !Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > maxTokenSeconds) {
      throw bad(`${path}.ttlSeconds`, `must be a whole number from 1 to ${maxTokenSeconds}`)
    }
    const id = parseSpiffeId(identity)
    if (id.trustDomain !== trustDomain || id.path === '') {
      throw bad(
        `${path}.identity`,
        `${identity} is no workload of the trust domain ${trustDomain}`,
        `write spiffe://${trustDomain}/ns/<namespace>/sa/<service account>`,
      )
    }
    return { identity: id, ttlSeconds }
  })
}

/** What `POST /v1/rotation` asks for. Throws `invalid_argument` with the path of what is wrong. */
export function readRotationRequest(body: unknown): { step: RotationStep; force: boolean } {
  const { step: wanted, force = false } = fieldsOf(body, ['step', 'force'], 'body', 'send {"step":"begin"}')
  const step = rotationSteps.find((known) => known === wanted)
  if (step === undefined) throw bad('step', `must be one of ${rotationSteps.join(', ')}`)
  if (typeof force !== 'boolean') throw bad('force', 'must be true or false')
  return { step, force }
}

/** The fields of an object that has no others. */
function fieldsOf(value: unknown, known: readonly string[], path: string, hint?: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(path, 'must be an object', hint)
  const stranger = Object.keys(value).find((name) => !known.includes(name))
  if (stranger !== undefined) throw bad(path, `has the unknown field '${stranger.slice(0, 50)}'`, `known are ${known.join(', ')}`)
  return { ...value }
}

function bad(path: string, message: string, hint?: string): WeftError {
  return new WeftError('invalid_argument', message, { where: { path }, hint })
}
