import fc from 'fast-check'
import { expect, test } from 'vitest'
import { typeUrls } from '../types.ts'
import { createResource, type Resource } from './resource.ts'
import { ResourceSet } from './resource-set.ts'
import { inconsistencies } from './snapshot.ts'

const resource = (name: string, content: string, refersTo: string[] = []): Resource =>
  createResource(typeUrls.cluster, name, Buffer.from(content), refersTo)

const contents = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.constantFrom('1', '2', '3'))
const setOf = (entries: Record<string, string>): ResourceSet =>
  ResourceSet.of(Object.entries(entries).map(([name, content]) => resource(name, content)))

test('the version depends on the content alone, not on the way to it', () => {
  fc.assert(
    fc.property(contents, contents, (before, after) => {
      const removed = Object.keys(before).filter((name) => !(name in after))
      const stepwise = setOf(before).with(
        Object.entries(after).map(([name, content]) => resource(name, content)),
        removed,
      )
      expect(stepwise.version).toBe(setOf(after).version)
    }),
    { seed: 7 },
  )
})

test('different contents have different versions', () => {
  fc.assert(
    fc.property(contents, contents, (one, other) => {
      const same = JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort())
      expect(setOf(one).version === setOf(other).version).toBe(same)
    }),
    { seed: 7 },
  )
})

test('a difference, remembered or compared anew, leads from the older set to the newer', () => {
  fc.assert(
    fc.property(contents, contents, (before, after) => {
      const older = setOf(before)
      const removed = Object.keys(before).filter((name) => !(name in after))
      const derived = older.with(
        Object.entries(after).map(([name, content]) => resource(name, content)),
        removed,
      )
      for (const newer of [derived, setOf(after)]) {
        const difference = newer.since(older)
        const names = difference.removed.map(({ name }) => name)
        expect(older.with(difference.changed, names).version).toBe(newer.version)
        expect(names.sort()).toEqual(removed.sort())
      }
    }),
    { seed: 7 },
  )
})

test('a set to which nothing is new is that very set', () => {
  const set = setOf({ a: '1' })
  expect(set.with([resource('a', '1')], ['unknown'])).toBe(set)
})

test('a cluster whose endpoints are not in the snapshot is told by name', () => {
  const snapshot = new Map([[typeUrls.cluster, ResourceSet.of([resource('a', '1', ['a'])])]])
  expect(inconsistencies(snapshot)).toEqual(['a refers to a, which is not in the snapshot'])
})
