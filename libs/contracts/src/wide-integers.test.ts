import { expect, test } from 'vitest'
import { Int64Range } from '../gen/envoy/type/v3/range.ts'

test('a range of all 64-bit integers is read, as the nearest numbers', () => {
  const bytes = Buffer.from('08808080808080808080' + '01' + '10ffffffffffffffff7f', 'hex')
  expect(Int64Range.decode(bytes)).toEqual({ start: -(2 ** 63), end: 2 ** 63 })
})
