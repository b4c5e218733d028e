import { expect, it } from 'vitest'
import { DynamicMetadata } from './dynamic-metadata.ts'

it('metadata that requests share stays as it is when one of them notes more', () => {
  const shared = { peer: { name: 'a' } }
  const [one, other] = [new DynamicMetadata(), new DynamicMetadata()]
  one.noteShared(shared)
  other.noteShared(shared)
  expect(other.all).toBe(shared)
  one.of('peer').id = 1
  one.noteShared({ peer: { zone: 'z' }, jwt: { sub: 's' } })
  expect(one.all).toEqual({ peer: { name: 'a', id: 1, zone: 'z' }, jwt: { sub: 's' } })
  expect(other.all).toEqual({ peer: { name: 'a' } })
})

it('metadata is made when something is noted, and not before', () => {
  const metadata = new DynamicMetadata()
  expect(metadata.all).toBeNull()
  metadata.of('a').b = 1
  expect(metadata.all).toEqual({ a: { b: 1 } })
  metadata.forget()
  expect(metadata.all).toBeNull()
})
