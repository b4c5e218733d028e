import { expect, test } from 'vitest'
import { setValue } from './set-value.ts'
import { injectionSettings } from './settings.ts'

test('values are set by their path, as YAML has their types', () => {
  const values = setValue(setValue({ global: { tag: 'x' } }, 'global.proxy.statusPort=0'), 'a\\.b.c=[1, two]')
  expect(values).toEqual({ global: { tag: 'x', proxy: { statusPort: 0 } }, 'a.b': { c: [1, 'two'] } })
})

test('a name that is not known is refused with those that are; what is free below a known one is not', () => {
  const known = injectionSettings().values
  expect(() => setValue({}, 'global.proxy.loglevel=debug', known)).toThrow('there is no value global.proxy.loglevel')
  expect(setValue({}, 'global.proxy.seccompProfile.type=RuntimeDefault', known)).toEqual({
    global: { proxy: { seccompProfile: { type: 'RuntimeDefault' } } },
  })
})

test.for(['', '=1', 'a', 'a..b=1', '__proto__.x=1', 'a=[', `${'a.'.repeat(20)}b=1`])('%j is refused', (assignment) => {
  expect(() => setValue({}, assignment)).toThrow(/--set/)
})
