import { array, type JsonObject, object, readCases, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { playAttributes } from './attributes.ts'
import { playCalls } from './calls.ts'
import { playConnections } from './connections.ts'

/** What a sidecar sent Mixer for a request or a TCP connection, attribute by attribute, and how often its HTTP filter called. */
export async function mixerSidecarAttributes(dir: string): Promise<CaseResult[]> {
  const file = readCases(dir, 'mixer-sidecar-attributes.json')
  const results: CaseResult[] = []
  for (const entry of array(file['cases'], 'cases')) {
    const one = object(entry, 'case')
    const name = text(one['source'], 'source').split('/').at(-1) ?? ''
    const played = isTcp(one) ? playConnections(one) : [...playAttributes(one), ...(await playCalls(one))]
    for (const result of played) results.push({ ...result, name: `${name}: ${result.name}` })
  }
  return results
}

function isTcp(one: JsonObject): boolean {
  const blocks = Object.values(object(one['blocks'], 'blocks'))
  return blocks.some(
    (block) => typeof block === 'object' && block !== null && !Array.isArray(block) && block['context.protocol'] === 'tcp',
  )
}
