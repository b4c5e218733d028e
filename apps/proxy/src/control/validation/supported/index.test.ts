import { expect, test } from 'vitest'
import { networkFilterTypes } from '../../../filters/network/index.ts'
import { supportsExtension } from './index.ts'

test('a network filter that there is may be configured', () => {
  expect(networkFilterTypes.filter((type) => !supportsExtension(type))).toEqual([])
})
