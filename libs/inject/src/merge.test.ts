import { expect, test } from 'vitest'
import { mergePod } from './merge.ts'

test('objects are merged field by field, and null takes a field away', () => {
  expect(mergePod({ spec: { a: 1, b: { c: 2, d: 3 } } }, { spec: { b: { c: 4, d: null } } })).toEqual({
    spec: { a: 1, b: { c: 4 } },
  })
})

test('containers are merged by name, their variables by name and their mounts by path', () => {
  const base = { containers: [{ name: 'a', env: [{ name: 'X', value: '1' }], volumeMounts: [{ mountPath: '/m', name: 'one' }] }] }
  const overlay = {
    containers: [{ name: 'a', env: [{ name: 'X', value: '2' }], volumeMounts: [{ mountPath: '/m', name: 'two' }] }],
  }
  expect(mergePod(base, overlay)).toEqual(overlay)
})

test('a list without a merge key is replaced', () => {
  expect(mergePod({ args: ['a', 'b'], tolerations: [{ key: 'x' }] }, { args: ['c'], tolerations: [] })).toEqual({
    args: ['c'],
    tolerations: [],
  })
})

test('items of the overlay come first, but what both know keeps its place among the others', () => {
  const named = (...names: string[]) => ({ volumes: names.map((name) => ({ name })) })
  expect(mergePod(named('a', 'b', 'c'), named('x', 'b'))).toEqual(named('x', 'a', 'b', 'c'))
  expect(mergePod(named('a'), named('x'))).toEqual(named('x', 'a'))
})

test('what is merged in is not shared with the overlay', () => {
  const overlay = { env: [{ name: 'A' }] }
  const merged = mergePod<{ env?: { name: string }[] }>({}, overlay)
  merged.env?.push({ name: 'B' })
  expect(overlay.env).toHaveLength(1)
})
