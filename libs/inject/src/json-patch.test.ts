import { isRecord } from '@weft/config/document'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonPatch, type PatchOperation } from './json-patch.ts'

test('only what differs is told, with keys escaped', () => {
  const from = { metadata: { annotations: { keep: 'x', drop: 'y' } }, spec: { list: [1, 2] } }
  const to = { metadata: { annotations: { keep: 'x', 'a/b~c': 'z' } }, spec: { list: [1] } }
  expect(jsonPatch(from, to)).toEqual([
    { op: 'remove', path: '/metadata/annotations/drop' },
    { op: 'add', path: '/metadata/annotations/a~1b~0c', value: 'z' },
    { op: 'replace', path: '/spec/list', value: [1] },
  ])
})

test('a null that goes away needs no operation', () => {
  expect(jsonPatch({ creationTimestamp: null, a: 1 }, { a: 1 })).toEqual([])
})

test('applied to one object, the operations give the other', () => {
  const key = fc.constantFrom('a', 'b', 'c/d', 'e~f', '')
  const value = fc.letrec((tie) => ({
    node: fc.oneof({ depthSize: 'small' }, fc.integer(), fc.string(), fc.array(tie('node'), { maxLength: 3 }), tie('object')),
    object: fc.dictionary(key, tie('node'), { maxKeys: 4, noNullPrototype: true }),
  }))
  fc.assert(
    fc.property(value.object, value.object, (from, to) => {
      expect(apply(structuredClone(from), jsonPatch(from, to))).toEqual(to)
    }),
    { seed: 8 },
  )
})

/** RFC 6902's add, replace and remove, for objects. */
function apply(document: unknown, operations: readonly PatchOperation[]): unknown {
  for (const operation of operations) {
    const keys = operation.path
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    const parent = keys.slice(0, -1).reduce<unknown>((value, key) => (isRecord(value) ? value[key] : undefined), document)
    if (!isRecord(parent)) throw new Error(`no parent of ${operation.path}`)
    const key = keys.at(-1) ?? ''
    if ((operation.op === 'add') === Object.hasOwn(parent, key)) throw new Error(`${operation.op} ${operation.path}`)
    if (operation.op === 'remove') delete parent[key]
    else parent[key] = operation.value
  }
  return document
}
