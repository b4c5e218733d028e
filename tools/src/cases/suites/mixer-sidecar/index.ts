import { array, type JsonObject, object, readCases, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { playAttributes } from './attributes.ts'
import { playCalls } from './calls.ts'

/**
 * What a sidecar sent Mixer for a request, attribute by attribute, and how often its mixer filter called. Cases of the TCP
 * filter, which this proxy does not have, and cases that state nothing are left out.
 */
export async function mixerSidecarAttributes(dir: string): Promise<CaseResult[]> {
  const file = readCases(dir, 'mixer-sidecar-attributes.json')
  const results: CaseResult[] = []
  for (const entry of array(file['cases'], 'cases')) {
    const one = object(entry, 'case')
    if (isTcp(one)) continue
    const name = text(one['source'], 'source').split('/').at(-1) ?? ''
    for (const result of [...playAttributes(one), ...(await playCalls(one))])
      results.push({ ...result, name: `${name}: ${result.name}` })
  }
  return results
}

function isTcp(one: JsonObject): boolean {
  const blocks = Object.values(object(one['blocks'], 'blocks'))
  return blocks.some(
    (block) => typeof block === 'object' && block !== null && !Array.isArray(block) && block['context.protocol'] === 'tcp',
  )
}
