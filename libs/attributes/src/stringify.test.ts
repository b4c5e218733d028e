import { describe, expect, it } from 'vitest'
import { Duration } from './duration.ts'
import { stringEquals, stringify } from './stringify.ts'
import type { AttributeValue } from './types.ts'

describe('stringify', () => {
  it.each<[AttributeValue | undefined, string]>([
    [undefined, ''],
    [1e21, '1000000000000000000000'],
    [1.5e-7, '0.00000015'],
    [-2.5e22, '-25000000000000000000000'],
    [9223372036854775807n, '9223372036854775807'],
    [new Date('2013-02-03T04:05:06.789Z'), '2013-02-03T04:05:06.789000Z'],
    [new Duration(90), '1m30s'],
    [Uint8Array.of(10, 0, 0, 1), '10.0.0.1'],
    [
      new Map([
        ['b', '2'],
        ['a', '1'],
      ]),
      'a=1&b=2',
    ],
  ])('prints %s as %s', (value, printed) => {
    expect(stringify(value)).toBe(printed)
  })

  it('finds a text equal to the value that it spells', () => {
    expect(stringEquals('1000ms', new Duration(1))).toBe(true)
    expect(stringEquals('::ffff:1.2.3.4', Uint8Array.of(1, 2, 3, 4))).toBe(true)
    expect(
      stringEquals(
        'b=2&a=1',
        new Map([
          ['a', '1'],
          ['b', '2'],
        ]),
      ),
    ).toBe(true)
    expect(stringEquals('nonsense', new Duration(1))).toBe(false)
  })
})
