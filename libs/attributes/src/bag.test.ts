import { describe, expect, it } from 'vitest'
import { bagOf, MutableBag } from './bag.ts'

describe('a mutable bag', () => {
  it('answers from its parent what it lacks itself', () => {
    const parent = bagOf({ a: 'parent', b: 2n })
    const child = new MutableBag(parent)
    child.set('a', 'child')
    expect(child.get('a')).toBe('child')
    expect(child.get('b')).toBe(2n)
    expect(child.get('c')).toBeUndefined()
    expect([...child.names()].sort()).toEqual(['a', 'b'])
  })

  it('shows the parent again after a delete', () => {
    const parent = bagOf({ a: 'parent' })
    const child = new MutableBag(parent)
    child.set('a', 'child')
    child.delete('a')
    expect(child.get('a')).toBe('parent')
    child.delete('a')
    expect(parent.get('a')).toBe('parent')
  })

  it('answers entries of its own map, never mixing in the parent’s', () => {
    const child = new MutableBag(bagOf({ m: new Map([['x', '1']]), n: new Map([['y', '2']]) }))
    child.set('m', new Map([['z', '3']]))
    expect(child.getEntry('m', 'x')).toBeUndefined()
    expect(child.getEntry('m', 'z')).toBe('3')
    expect(child.getEntry('n', 'y')).toBe('2')
  })

  it('gives no entry of an attribute that is no map', () => {
    expect(bagOf({ s: 'text' }).getEntry('s', 'length')).toBeUndefined()
  })

  it('copies maps, so that a change of the copy stays there', () => {
    const original = new MutableBag()
    const map = new Map([['k', 'v']])
    original.set('m', map)
    const copy = original.copy()
    map.set('k', 'changed')
    expect(copy.getEntry('m', 'k')).toBe('v')
  })

  it('merges without touching what is there, unless told to', () => {
    const bag = bagOf({ a: '1' })
    bag.merge(bagOf({ a: '2', b: '3' }))
    expect(bag.get('a')).toBe('1')
    expect(bag.get('b')).toBe('3')
    bag.merge(bagOf({ a: '2' }), true)
    expect(bag.get('a')).toBe('2')
  })
})
