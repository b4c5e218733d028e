import { parseIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'
import memquota from '@weft/mixer/adapters/memquota/adapter'
import { limitFor } from '@weft/mixer/adapters/quota/limits'
import { openHandler, quotaCall } from '@weft/mixer/testing'
import { array, type Json, type JsonObject, number, object, optionalArray, readCases, text } from '../read.ts'
import type { CaseResult } from '../suite.ts'
import { paramsOf } from './mixer-params.ts'

const NANOSECONDS_PER_MS = 1e6

/** The memquota adapter, step by step on one handler at virtual times, and which limit an instance's dimensions choose. */
export async function mixerQuota(dir: string): Promise<CaseResult[]> {
  const file = readCases(dir, 'mixer-quota.json')
  const steps = await playSteps(object(file['memquota'], 'memquota'))
  const selections = array(file['memquota_override_selection'], 'memquota_override_selection').map((row) =>
    selection(object(row, 'row')),
  )
  return [...steps, ...selections]
}

async function playSteps(memory: JsonObject): Promise<CaseResult[]> {
  const start = 1_000_000
  let nowMs = start
  const quotas = array(memory['limits'], 'limits').map((limit) => paramsOf(object(limit, 'limit')))
  const handler = await openHandler(memquota, { quotas, minDeduplicationDuration: '3600s' }, { now: () => nowMs })
  const results: CaseResult[] = []
  for (const [index, row] of array(memory['cases'], 'cases').entries()) {
    const step = object(row, 'case')
    const instance = { name: text(step['name'], 'name'), dimensions: {} }
    const dedup = text(step['dedup'], 'dedup')
    nowMs = start + number(step['seconds'], 'seconds') * 1000
    const handle = handler.handle('quota')
    const taken = await handle(
      instance,
      quotaCall({
        dedupId: `A${dedup}`,
        amount: number(step['allocAmount'], 'allocAmount'),
        bestEffort: step['allocBestEffort'] === true,
      }),
    )
    const given = await handle(
      instance,
      quotaCall({ dedupId: `R${dedup}`, amount: -number(step['releaseAmount'], 'releaseAmount') }),
    )
    const actual = [taken.amount, taken.validDurationMs * NANOSECONDS_PER_MS, given.amount]
    const expected = [step['allocResult'], step['exp'], step['releaseResult']]
    const passed = expected.every((value, place) => value === actual[place])
    results.push({ name: `step ${index}: ${instance.name}, dedup ${dedup}`, passed, expected, actual })
  }
  await handler.close()
  return results
}

/**
 * The case file names its dimensions without saying what they hold: `inst1` and `instIP` are what `cfgDim1` and
 * `cfgDimIP` ask for, `inst2` is neither.
 */
const configured: Readonly<Record<string, Record<string, string>>> = {
  cfgDim1: { source: 'reviews', destination: 'ratings' },
  cfgDimIP: { source: '10.1.2.3' },
}
const instances: Readonly<Record<string, Record<string, AttributeValue>>> = {
  inst1: { source: 'reviews', destination: 'ratings' },
  inst2: { source: 'details', destination: 'ratings' },
  instIP: { source: parseIp('10.1.2.3') ?? '' },
}

function selection(row: JsonObject): CaseResult {
  const config = object(row['cfg'], 'cfg')
  const quota = {
    limit: ident(config['MaxAmount']),
    overrides: optionalArray(config['Overrides'], 'Overrides').map((entry) => {
      const override = object(entry, 'override')
      return { limit: ident(override['MaxAmount']), dimensions: configured[ident(override['Dimensions'])] ?? {} }
    }),
  }
  const expected = ident(row['limit'])
  const actual = limitFor(quota, instances[ident(row['inst'])] ?? {}).limit
  return { name: text(row['desc'], 'desc'), passed: actual === expected, expected, actual }
}

function ident(value: Json | undefined): string {
  return value === undefined ? '' : text(object(value, 'value')['$ident'], '$ident')
}
