import { createSecureContext } from 'node:tls'
import { expect, test } from 'vitest'
import { isKnownChain, keepChain } from './known-chains.ts'

test('a chain is known to its context, as it was shown, from its first date to its last', () => {
  const context = createSecureContext()
  keepChain(context, 'leaf', { fromMs: 1000, toMs: 2000 })
  expect(isKnownChain(context, 'leaf', 999)).toBe(false)
  expect(isKnownChain(context, 'leaf', 1000)).toBe(true)
  expect(isKnownChain(context, 'leaf', 1999)).toBe(true)
  expect(isKnownChain(context, 'leaf', 2000)).toBe(false)
  expect(isKnownChain(context, 'leaf and more', 1500)).toBe(false)
  expect(isKnownChain(createSecureContext(), 'leaf', 1500)).toBe(false)
})

test('of a date that can not be read, nothing is known', () => {
  const context = createSecureContext()
  keepChain(context, 'leaf', { fromMs: 0, toMs: Number.NaN })
  expect(isKnownChain(context, 'leaf')).toBe(false)
})

test('a context keeps so many and no more', () => {
  const context = createSecureContext()
  for (let i = 0; i < 300; i++) keepChain(context, String(i), { fromMs: 0, toMs: 1 })
  expect(Array.from({ length: 300 }, (_, i) => isKnownChain(context, String(i), 0)).filter(Boolean)).toHaveLength(256)
  expect(isKnownChain(context, '299', 0)).toBe(true)
})
