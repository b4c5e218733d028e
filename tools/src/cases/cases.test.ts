import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CasesAbsent } from './suite.ts'
import { SUITES } from './suites/index.ts'

const dir = resolve(import.meta.dirname, '../../../../shared/cases')
const isThere = existsSync(dir)
if (!isThere) console.log(`cases from outside are skipped: ${dir} is not there`)

describe.skipIf(!isThere)('the cases from outside', () => {
  it.each(Object.entries(SUITES))('%s all pass', async (_, suite) => {
    let results: Awaited<ReturnType<typeof suite>>
    try {
      results = await suite(dir)
    } catch (thrown) {
      if (!(thrown instanceof CasesAbsent)) throw thrown
      console.log(`skipped: ${thrown.message}`)
      return
    }
    expect(results.length).toBeGreaterThan(0)
    expect(results.filter((result) => !result.passed)).toEqual([])
  })
})
