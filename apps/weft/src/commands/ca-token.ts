import { mintJoinTokens } from '../clients/citadel.ts'
import { exitCodes } from '../exit-codes.ts'
import { requireMesh, stateFolder } from '../mesh/state.ts'
import type { Terminal } from '../terminal.ts'

export interface CaTokenOptions {
  stateDir?: string
  citadel?: string
  operatorTokenFile?: string
  ttl: number
}

/** `weft ca token IDENTITY…`: join tokens, one a line in the order asked. */
export async function caToken(identities: readonly string[], options: CaTokenOptions, terminal: Terminal): Promise<number> {
  const { citadel, operatorTokenFile } = options
  const mesh = citadel && operatorTokenFile ? undefined : requireMesh(stateFolder(options.stateDir)).citadel
  const tokens = await mintJoinTokens(
    citadel ?? mesh?.admin ?? '',
    operatorTokenFile ?? mesh?.operatorTokenFile ?? '',
    identities.map((identity) => ({ identity, ttlSeconds: options.ttl })),
  )
  for (const token of tokens) terminal.print(token)
  return exitCodes.ok
}
