import { parseIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'
import memquota from '@weft/mixer/adapters/memquota/adapter'
import { limitFor } from '@weft/mixer/adapters/quota/limits'
import { openHandler, quotaCall } from '@weft/mixer/testing'
import { array, type Json, type JsonObject, number, object, optionalArray, readCases, text } from '../read.ts'
import type { CaseResult } from '../suite.ts'

/** Quota allocations and releases step by step on one handler, and which override's limit counts. */
export async function mixerQuota(dir: string): Promise<CaseResult[]> {
  const file = readCases(dir, 'mixer-quota.json')
  const results = await allocations(object(file['memquota'], 'memquota'))
  const selections = optionalArray(file['memquota_override_selection'], 'memquota_override_selection')
  return [...results, ...selections.map((entry) => selection(object(entry, 'selection')))]
}

async function allocations(steps: JsonObject): Promise<CaseResult[]> {
  const quotas = array(steps['limits'], 'limits').map((entry) => {
    const limit = object(entry, 'limit')
    return {
      name: text(limit['Name'], 'Name'),
      maxAmount: number(limit['MaxAmount'], 'MaxAmount'),
      validDuration: `${number(limit['ValidDuration'], 'ValidDuration') / 1e9}s`,
    }
  })
  let nowMs = 0
  const handler = await openHandler(memquota, { quotas, minDeduplicationDuration: '3600s' }, { now: () => nowMs })
  try {
    const allocate = handler.handle('quota')
    const results: CaseResult[] = []
    for (const entry of array(steps['cases'], 'cases')) {
      const step = object(entry, 'step')
      nowMs = number(step['seconds'], 'seconds') * 1000
      const instance = { name: text(step['name'], 'name'), dimensions: {} }
      const dedup = text(step['dedup'], 'dedup')
      const expected = { allocated: step['allocResult'], validNs: step['exp'], released: step['releaseResult'] }
      const grant = await allocate(
        instance,
        quotaCall({
          amount: number(step['allocAmount'], 'allocAmount'),
          bestEffort: step['allocBestEffort'] === true,
          dedupId: `A${dedup}`,
        }),
      )
      const release = await allocate(
        instance,
        quotaCall({ amount: -number(step['releaseAmount'], 'releaseAmount'), dedupId: `R${dedup}` }),
      )
      const actual = { allocated: grant.amount, validNs: grant.validDurationMs * 1e6, released: release.amount }
      results.push({
        name: `step ${dedup} of ${instance.name} at ${step['seconds']} s`,
        passed: JSON.stringify(actual) === JSON.stringify(expected),
        expected,
        actual,
      })
    }
    return results
  } finally {
    await handler.close()
  }
}

// Variables that the original test's table names but does not hold: what matters of them is which dimensions fit which.
const LIMITS: Readonly<Record<string, number>> = { limit1: 1, limit2: 2 }
const OVERRIDE_DIMENSIONS: Readonly<Record<string, Record<string, string>>> = {
  cfgDim1: { source: 'a', path: '/x' },
  cfgDimIP: { client: '10.0.0.1' },
}
const INSTANCES: Readonly<Record<string, Record<string, AttributeValue>>> = {
  inst1: { source: 'a', path: '/x', other: 'z' },
  inst2: { source: 'b', path: '/x' },
  instIP: { client: parseIp('10.0.0.1') ?? '' },
}

function selection(entry: JsonObject): CaseResult {
  const cfg = object(entry['cfg'], 'cfg')
  const overrides = optionalArray(cfg['Overrides'], 'Overrides').map((override) => {
    const { Dimensions, MaxAmount } = object(override, 'override')
    return {
      dimensions: Dimensions === undefined ? {} : named(Dimensions, OVERRIDE_DIMENSIONS),
      maxAmount: named(MaxAmount, LIMITS),
    }
  })
  const quota = { maxAmount: named(cfg['MaxAmount'], LIMITS), overrides }
  const actual = limitFor(quota, named(entry['inst'], INSTANCES)).maxAmount
  const expected = named(entry['limit'], LIMITS)
  return { name: text(entry['desc'], 'desc'), passed: actual === expected, expected, actual }
}

function named<T>(reference: Json | undefined, variables: Readonly<Record<string, T>>): T {
  const name = text(object(reference, 'reference')['$ident'], '$ident')
  const value = variables[name]
  if (value === undefined) throw new Error(`the runner does not know what ${name} is`)
  return value
}
