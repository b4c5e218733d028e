import { expect, it } from 'vitest'
import { validUtf8 } from './valid-utf8.ts'

// What Envoy 1.40 told its authorization service.
it.each([
  ['caf\xe9', 'caf!'],
  ['\xc3\xa9', '\xc3\xa9'],
  ['\xe2\x82\xac', '\xe2\x82\xac'],
  ['\xe2\x82', '!!'],
  ['\xed\xa0\x80', '!!!'],
  ['\xf0\x9f\x98\x80z', '\xf0\x9f\x98\x80z'],
  ['\xf5\x80a', '!!a'],
  ['\xc0\x80', '!!'],
  ['\xe2(\xa1', '!(!'],
  ['\xe9\xe9\xc3\xa9', '!!\xc3\xa9'],
])('%j is told as %j', (value, told) => {
  expect(validUtf8(value)).toBe(told)
})
