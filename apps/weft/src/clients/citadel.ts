import { readFile } from 'node:fs/promises'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

export interface TokenRequest {
  identity: string
  ttlSeconds: number
}

const answer = z.object({ tokens: z.array(z.object({ identity: z.string(), token: z.string() })) })

/** Asks Citadel for join tokens: one for each identity, in the order asked. */
export async function mintJoinTokens(
  admin: string,
  operatorTokenFile: string,
  tokens: readonly TokenRequest[],
): Promise<string[]> {
  const operatorToken = await readOperatorToken(operatorTokenFile)
  const response = await fetch(`http://${admin}/v1/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${operatorToken}` },
    body: JSON.stringify({ tokens }),
    signal: AbortSignal.timeout(10_000),
  }).catch((cause: unknown) => {
    throw new WeftError('unavailable', `Citadel does not answer on ${admin}`, {
      hint: 'look at weft ps and weft logs citadel',
      cause,
    })
  })
  const text = await response.text()
  if (!response.ok) {
    throw new WeftError('failed_precondition', `Citadel refused to issue join tokens (${response.status}): ${text.slice(0, 500)}`)
  }
  const issued = answer.parse(JSON.parse(text)).tokens
  const byIdentity = new Map(issued.map(({ identity, token }) => [identity, token]))
  return tokens.map(({ identity }) => {
    const token = byIdentity.get(identity)
    if (token === undefined) throw new WeftError('internal', `Citadel gave no token for ${identity}`)
    return token
  })
}

/** The operator's token out of its file; it guards what changes the mesh. */
export async function readOperatorToken(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    throw new WeftError('permission_denied', `cannot read the operator token ${file}`, {
      hint: 'name the file with --operator-token-file; Citadel wrote it into its --data-dir, readable by its owner alone',
      cause,
    })
  }
}
