import { CompressedAttributes } from '@weft/contracts/istio/mixer/v1/attributes'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bagOf } from './bag.ts'
import { applyAttributes, decodeAttributes, plainAttributes } from './decoding.ts'
import { Duration } from './duration.ts'
import { encodeAttributes, sameValue, toPlainAttributes } from './encoding.ts'
import { GLOBAL_WORDS } from './global-words.ts'
import type { AttributeValue } from './types.ts'
import { globalWordsOfSender, wordReader } from './words.ts'

const value: fc.Arbitrary<AttributeValue> = fc.oneof(
  fc.string(),
  fc.constantFrom(...GLOBAL_WORDS),
  fc.bigInt({ min: -(2n ** 53n) + 1n, max: 2n ** 53n - 1n }),
  fc.double({ noNaN: true }).filter((number) => !Object.is(number, -0)),
  fc.boolean(),
  fc.date({ noInvalidDate: true, min: new Date('0001-01-01'), max: new Date('9999-12-31') }),
  fc.integer().map((seconds) => new Duration(seconds, seconds < 0 ? -5 : 7)),
  fc.uint8Array({ maxLength: 16 }).map((bytes): AttributeValue => bytes),
  fc.array(fc.tuple(fc.string(), fc.string())).map((entries): AttributeValue => new Map(entries)),
)
const values = fc.dictionary(fc.oneof(fc.string(), fc.constantFrom(...GLOBAL_WORDS)), value, { noNullPrototype: true })

function expectSame(actual: ReturnType<typeof bagOf>, expected: ReturnType<typeof bagOf>): void {
  expect([...actual.names()].sort()).toEqual([...expected.names()].sort())
  for (const name of expected.names()) {
    const wanted = expected.get(name)
    expect(wanted !== undefined && sameValue(wanted, actual.get(name)), name).toBe(true)
  }
}

describe('attributes on the wire', () => {
  it('come back as they were, through bytes', () => {
    fc.assert(
      fc.property(values, (record) => {
        const bag = bagOf(record)
        const bytes = CompressedAttributes.encode(encodeAttributes(bag)).finish()
        expectSame(decodeAttributes(CompressedAttributes.decode(bytes)), bag)
      }),
      { numRuns: 200, seed: 1 },
    )
  })

  it.each<[string, Partial<CompressedAttributes>, string]>([
    ['a name', { strings: { 203: 0 } }, 'index 203 is out of range'],
    ['a value', { strings: { 0: -3 }, words: ['a'] }, 'index -3 is out of range'],
    ['a map key', { stringMaps: { 0: { entries: { 999: 0 } } } }, 'index 999'],
    ['a map value', { stringMaps: { 0: { entries: { 0: -1 } } } }, 'index -1'],
    ['a time', { timestamps: { 0: new Date(Number.NaN) } }, 'source.ip holds a time out of range'],
  ])('are refused for %s that is none', (_, part, problem) => {
    expect(() => decodeAttributes(CompressedAttributes.create(part))).toThrow(problem)
  })

  it('leave the bag as it was when a delta cannot be read', () => {
    const bag = bagOf({ 'source.ip': 'before' })
    expect(() => applyAttributes(bag, CompressedAttributes.create({ strings: { 0: 1, 1: 999 } }))).toThrow()
    expect(bag.get('source.ip')).toBe('before')
  })

  it('are refused in unreasonable number', () => {
    const words = Array.from({ length: 10_001 }, (_, i) => `w${i}`)
    const bools = Object.fromEntries(words.map((_, i) => [-1 - i, true]))
    expect(() => decodeAttributes(CompressedAttributes.create({ words, bools }))).toThrow('more than 10000 attributes')
  })

  it('go by the sender’s dictionary where it is shorter, and are refused where it is longer', () => {
    expect(globalWordsOfSender(10)).toHaveLength(10)
    expect(globalWordsOfSender(0)).toBe(GLOBAL_WORDS)
    expect(() => globalWordsOfSender(204)).toThrow('the sender 204')
    const message = CompressedAttributes.create({ strings: { 10: 0 } })
    expect(() => decodeAttributes(message, wordReader([], globalWordsOfSender(10)))).toThrow('out of range')
  })

  it('have a plain form for configuration and headers', () => {
    fc.assert(
      fc.property(values, (record) => {
        expectSame(bagOf(Object.fromEntries(plainAttributes(toPlainAttributes(Object.entries(record))))), bagOf(record))
      }),
      { numRuns: 100, seed: 3 },
    )
  })
})
