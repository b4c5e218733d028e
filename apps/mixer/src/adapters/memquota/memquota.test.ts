import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openHandler, quotaCall } from '../../testing.ts'
import memquota from './adapter.ts'
import { CellTable } from './cell-table.ts'
import { rollingCell } from './cells.ts'

const instance = { name: 'requests', dimensions: {} }

async function quota(params: Record<string, unknown>, now: () => number = () => 0) {
  const handler = await openHandler(
    memquota,
    { quotas: [{ name: 'requests', ...params }], minDeduplicationDuration: '1s' },
    { now },
  )
  return handler.handle('quota')
}

describe('memquota', () => {
  it('gives what was taken back as the window moves', async () => {
    let nowMs = 0
    const take = await quota({ maxAmount: 5, validDuration: '10s' }, () => nowMs)
    expect(await take(instance, quotaCall({ amount: 3 }))).toEqual({ amount: 3, validDurationMs: 10_000 })
    nowMs = 5_000
    expect(await take(instance, quotaCall({ amount: 3, bestEffort: true }))).toMatchObject({ amount: 2 })
    nowMs = 9_999
    expect(await take(instance, quotaCall({}))).toMatchObject({ amount: 0 })
    nowMs = 10_000
    expect(await take(instance, quotaCall({ amount: 5, bestEffort: true }))).toMatchObject({ amount: 3 })
  })

  it('counts a call again only when its deduplication id is forgotten', async () => {
    let nowMs = 0
    const take = await quota({ maxAmount: 5 }, () => nowMs)
    const again = quotaCall({ amount: 3, dedupId: 'again' })
    expect(await take(instance, again)).toMatchObject({ amount: 3 })
    nowMs = 999
    expect(await take(instance, again)).toMatchObject({ amount: 3 })
    nowMs = 10_000
    expect(await take(instance, again)).toMatchObject({ amount: 0 })
  })

  it('applies the first override that fits, and counts dimensions apart', async () => {
    const overrides = [
      { dimensions: { app: 'ratings' }, maxAmount: 1 },
      { dimensions: { app: 'ratings', version: 'v1' }, max_amount: 9 },
    ]
    const take = await quota({ maxAmount: 5, overrides })
    const of = (dimensions: Record<string, string>) =>
      take({ name: 'requests', dimensions }, quotaCall({ amount: 100, bestEffort: true }))
    expect(await of({ app: 'ratings', version: 'v1' })).toMatchObject({ amount: 1 })
    expect(await of({ app: 'reviews' })).toMatchObject({ amount: 5 })
    expect(await of({ app: 'details' })).toMatchObject({ amount: 5 })
  })

  it('fails for a quota that it has no limit for', async () => {
    const take = await quota({ maxAmount: 5 })
    expect(() => take({ name: 'other', dimensions: {} }, quotaCall({}))).toThrow("has no limit for quota 'other'")
  })

  it.each([{ validDuration: '-1s' }, { maxAmount: -1 }, { maxAmount: 1.5 }, { window: '1s' }])('refuses %j', (limit) => {
    expect(() => memquota.validate({ quotas: [{ name: 'requests', ...limit }] })).toThrow()
  })
})

describe('the rolling window', () => {
  it('never has more than its limit in it, whatever is asked', () => {
    const call = fc.record({ ticks: fc.nat(15), amount: fc.integer({ min: -4, max: 6 }), bestEffort: fc.boolean() })
    fc.assert(
      fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
        const max = 10
        const window = 20
        const cell = rollingCell(max, window)
        const taken: number[] = []
        let tick = 0
        for (const { ticks, amount, bestEffort } of calls) {
          tick += ticks
          const inWindow = () => taken.slice(Math.max(0, tick - window + 1), tick + 1).reduce((sum, part) => sum + (part ?? 0), 0)
          const before = inWindow()
          if (amount >= 0) {
            const granted = cell.allocate(amount, bestEffort, tick)
            expect(granted).toBe(amount <= max - before ? amount : bestEffort ? max - before : 0)
            taken[tick] = (taken[tick] ?? 0) + granted
          } else {
            let left = cell.release(-amount, tick)
            expect(left).toBe(Math.min(-amount, before))
            for (let at = tick; left > 0; at--) {
              const part = Math.min(left, taken[at] ?? 0)
              taken[at] = (taken[at] ?? 0) - part
              left -= part
            }
          }
          expect(inWindow()).toBeLessThanOrEqual(max)
        }
      }),
      { seed: 20, numRuns: 300 },
    )
  })
})

describe('the table of cells', () => {
  it('is bounded: idle cells make room, and otherwise there is none', () => {
    const table = new CellTable(2)
    table.cell('a', 5, 1_000, 0).allocate(1, false, 0)
    table.cell('b', 5, 1_000, 0).allocate(1, false, 0)
    expect(() => table.cell('c', 5, 1_000, 1)).toThrow('2 sets of dimensions are counted already')
    expect(table.cell('a', 5, 1_000, 1).allocate(5, true, 1)).toBe(4)
    expect(table.cell('c', 5, 1_000, 100).allocate(1, false, 100)).toBe(1)
  })
})
