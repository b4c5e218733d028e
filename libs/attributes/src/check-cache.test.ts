import { describe, expect, it } from 'vitest'
import { bagOf } from './bag.ts'
import { CheckCache } from './check-cache.ts'
import { decodeReferences, encodeReferences, type Reference, TrackedBag } from './references.ts'

const exact = (name: string, key?: string): Reference => ({ name, key, condition: 'exact' })
const absent = (name: string, key?: string): Reference => ({ name, key, condition: 'absence' })

describe('the check cache', () => {
  it('gives a decision to every bag alike in what it depended on', () => {
    const cache = new CheckCache<string>({ capacity: 10 })
    const references = [exact('source.name'), exact('request.headers', 'user'), absent('request.headers', 'bypass')]
    cache.set(bagOf({ 'source.name': 'a', 'request.headers': new Map([['user', 'x']]) }), references, 'yes', 100, 5, 0)
    const same = bagOf({ 'source.name': 'a', 'request.path': '/other', 'request.headers': new Map([['user', 'x']]) })
    expect(cache.get(same, 1)).toBe('yes')
    expect(cache.get(bagOf({ 'source.name': 'b', 'request.headers': new Map([['user', 'x']]) }), 1)).toBeUndefined()
    const bypass = new Map([
      ['user', 'x'],
      ['bypass', '1'],
    ])
    expect(cache.get(bagOf({ 'source.name': 'a', 'request.headers': bypass }), 1)).toBeUndefined()
  })

  it('ends a decision by time and by use', () => {
    const cache = new CheckCache<string>({ capacity: 10 })
    const bag = bagOf({ a: 'x' })
    cache.set(bag, [exact('a')], 'twice', 100, 2, 0)
    expect([cache.get(bag, 1), cache.get(bag, 1), cache.get(bag, 1)]).toEqual(['twice', 'twice', undefined])
    cache.set(bag, [exact('a')], 'short', 100, 50, 0)
    expect([cache.get(bag, 99), cache.get(bag, 100)]).toEqual(['short', undefined])
    expect(cache.size).toBe(0)
  })

  it('never takes one value for another of a different type or split', () => {
    const cache = new CheckCache<string>({ capacity: 10 })
    cache.set(bagOf({ a: 'i1', b: '' }), [exact('a'), exact('b')], 'text', 100, 50, 0)
    expect(cache.get(bagOf({ a: 1n, b: '' }), 0)).toBeUndefined()
    cache.set(bagOf({ a: 'x|1:y', b: 'z' }), [exact('a'), exact('b')], 'split', 100, 50, 0)
    expect(cache.get(bagOf({ a: 'x', b: 'y|1:z' }), 0)).toBeUndefined()
  })

  it('keeps within its capacity, and what is used longest', () => {
    const cache = new CheckCache<number>({ capacity: 100 })
    const bag = (i: number) => bagOf({ a: `user-${i}` })
    for (let i = 0; i < 1000; i++) {
      cache.set(bag(i), [exact('a')], i, 100, 1_000_000, 0)
      expect(cache.get(bag(0), 0)).toBe(0)
    }
    expect(cache.size).toBe(100)
  })

  it('bounds the number of shapes, dropping the least populated', () => {
    const cache = new CheckCache<number>({ capacity: 1000 })
    for (let i = 0; i < 100; i++) cache.set(bagOf({ [`a${i}`]: 'x' }), [exact(`a${i}`)], i, 100, 10, 0)
    expect(cache.size).toBeLessThanOrEqual(32)
    expect(cache.get(bagOf({ a99: 'x' }), 0)).toBe(99)
  })

  it('takes values of any length without keeping them', () => {
    const cache = new CheckCache<string>({ capacity: 10 })
    const long = 'x'.repeat(100_000)
    cache.set(bagOf({ a: long }), [exact('a')], 'long', 100, 10, 0)
    expect(cache.get(bagOf({ a: long }), 0)).toBe('long')
    expect(cache.get(bagOf({ a: `${long}y` }), 0)).toBeUndefined()
  })
})

describe('references', () => {
  it('are noted as asked, and travel', () => {
    const bag = new TrackedBag(bagOf({ a: 'x', m: new Map([['k', 'v']]) }))
    bag.get('a')
    bag.get('b')
    bag.getEntry('m', 'k')
    bag.getEntry('m', 'l')
    bag.getEntry('n', 'k')
    const references = bag.references()
    expect(references).toEqual([exact('a'), absent('b'), absent('n'), exact('m', 'k'), absent('m', 'l')])
    expect(decodeReferences(encodeReferences(references))).toEqual({ references, complete: true })
    bag.clear()
    expect(bag.references()).toEqual([])
  })

  it('that cannot be read make the whole incomplete', () => {
    const message = encodeReferences([exact('a'), exact('b')])
    message.words.pop()
    expect(decodeReferences(message)).toEqual({ references: [exact('a')], complete: false })
    expect(decodeReferences(undefined).complete).toBe(false)
  })
})
