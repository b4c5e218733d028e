import { MetadataKey } from '@weft/contracts/envoy/type/metadata/v3/metadata'
import { expect, test } from 'vitest'
import { metadataReader } from './metadata-path.ts'

const metadata = { a: { list: ['x', { name: 'y' }], none: null } }
const read = (...path: (string | number)[]) => {
  const segments = path.map((one) => ({
    segment: typeof one === 'number' ? { $case: 'index' as const, value: one } : { $case: 'key' as const, value: one },
  }))
  return metadataReader(MetadataKey.fromPartial({ key: 'a', path: segments }))(metadata)
}

test('a path goes by names and by places in lists', () => {
  expect(read('list', 0)).toBe('x')
  expect(read('list', 1, 'name')).toBe('y')
  expect(read('list', 2)).toBeUndefined()
})

test('a list has no names, a record no places, and neither what every object has', () => {
  expect(read('list', '0')).toBeUndefined()
  expect(read('list', 'length')).toBeUndefined()
  expect(read(0)).toBeUndefined()
  expect(read('constructor')).toBeUndefined()
  expect(read('none', 'x')).toBeUndefined()
  expect(metadataReader(undefined)(metadata)).toBeUndefined()
})
