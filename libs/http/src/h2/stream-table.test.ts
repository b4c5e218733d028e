import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Http2Stream } from './stream.ts'
import { StreamTable } from './stream-table.ts'

const stream = (id: number) => new Http2Stream(id, null, 0, 0, 0)

describe('the table of streams', () => {
  it('is what a map by identifiers is, in whatever order streams come and go', () => {
    const change = fc.record({ id: fc.integer({ min: 0, max: 200 }).map((n) => 2 * n + 1), add: fc.boolean() })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 400 }), (changes) => {
        const table = new StreamTable()
        const map = new Map<number, Http2Stream>()
        for (const { id, add } of changes) {
          if (!add) expect(table.delete(id)).toBe(map.delete(id))
          else if (!map.has(id)) {
            const one = stream(id)
            table.add(one)
            map.set(id, one)
          }
          expect(table.size).toBe(map.size)
        }
        for (let id = 1; id <= 401; id += 2) expect(table.get(id)).toBe(map.get(id) ?? null)
        expect(table.all().map(({ id }) => id)).toEqual([...map.keys()].sort((a, b) => a - b))
      }),
      { seed: 20_261_130 },
    )
  })

  it('finds a stream that stays while very many come and go', () => {
    const table = new StreamTable()
    const stays = stream(1)
    table.add(stays)
    for (let id = 3; id < 40_000; id += 2) {
      table.add(stream(id))
      if (id > 100) expect(table.delete(id - 98)).toBe(true)
    }
    expect(table.get(1)).toBe(stays)
    expect(table.has(3)).toBe(false)
    expect(table.size).toBe(50)
    table.clear()
    expect(table.all()).toEqual([])
  })
})
