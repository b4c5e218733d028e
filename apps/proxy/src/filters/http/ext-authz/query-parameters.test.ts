import { describe, expect, it } from 'vitest'
import { editQuery, isPlainParameter } from './query-parameters.ts'

// As Envoy 1.40 does.
describe('query parameters', () => {
  it.each([
    ['/a?x=1&y=2&x=3', [['x', '9']], [], '/a?x=9&y=2'],
    ['/a?x=1', [], ['x'], '/a'],
    ['/a', [['n', '']], [], '/a?n='],
    ['/a?z&b&a', [], ['none'], '/a?a=&b=&z='],
    ['/a?&a=1&&b=2&', [['c', '3']], [], '/a?=&=&a=1&b=2&c=3'],
    ['/a?a=b=c', [['a b', 'c d']], [], '/a?a=b=c&a b=c d'],
    ['/a?x=1', [['x', '2']], ['x'], '/a'],
    ['/a?', [['\u00e9', '1']], [], '/a?\u00c3\u00a9=1'],
    ['/a?x&x', [], [], '/a?x&x'],
  ] as const)('of %s, with %j set and %j removed', (path, set, remove, expected) => {
    expect(
      editQuery(
        path,
        set.map(([key, value]) => ({ key, value })),
        remove,
      ),
    ).toBe(expected)
  })

  it('need no escape where they hold letters, digits and few signs', () => {
    expect(['', 'aZ09*-._'].every(isPlainParameter)).toBe(true)
    expect(['%20', 'a b', '~', '+', '&', '/', '\u00e9'].some(isPlainParameter)).toBe(false)
  })
})
