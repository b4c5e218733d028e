import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RouteIndex } from './route-index.ts'
import { type PathMatch, pathMatches } from './route-match.ts'

const text = fc.stringMatching(/^\/[ab/]{0,6}$/)
const literal = fc.record({
  type: fc.constantFrom('prefix' as const, 'exact' as const, 'separated-prefix' as const),
  value: fc.oneof(text, fc.constant('')),
  caseSensitive: fc.boolean(),
})
const regex = text.map((value): PathMatch => ({ type: 'regex', matches: (path) => path.includes(value) }))
const routes = fc.array(fc.record({ path: fc.oneof(literal, literal, literal, regex), taken: fc.boolean() }), {
  minLength: 12,
  maxLength: 40,
})

describe('the index of routes', () => {
  it('finds what looking at each in turn finds', () => {
    fc.assert(
      fc.property(routes, text, (all, path) => {
        const index = RouteIndex.of(all)!
        const matches = (i: number): boolean => pathMatches(all[i]!.path, path, 'GET')
        const found = index.find(path, (i, isLiteral) => {
          if (isLiteral) expect(matches(i)).toBe(true)
          return all[i]!.taken && (isLiteral || matches(i))
        })
        expect(found).toBe(all.findIndex(({ taken }, i) => taken && matches(i)))
      }),
      { numRuns: 2000 },
    )
  })

  it('looks at a few of ten thousand', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => ({
      path: { type: 'prefix', value: `/service-${i}/`, caseSensitive: true } as const,
    }))
    let asked = 0
    const place = RouteIndex.of(many)!.find('/service-9876/items', () => {
      asked++
      return true
    })
    expect([place, asked]).toEqual([9876, 1])
  })

  it('is not made for a few routes', () => {
    expect(RouteIndex.of([{ path: { type: 'connect' } }])).toBe(null)
  })
})
