import { CompressedAttributes } from '@weft/contracts/istio/mixer/v1/attributes'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bagOf, MutableBag } from './bag.ts'
import { applyAttributeBytes } from './binary-decoding.ts'
import { applyAttributes } from './decoding.ts'
import { Duration } from './duration.ts'
import { encodeAttributes } from './encoding.ts'
import { GLOBAL_WORDS } from './global-words.ts'
import type { AttributeValue } from './types.ts'
import { wordReader } from './words.ts'

const text = fc.oneof(fc.constantFrom(...GLOBAL_WORDS), fc.string(), fc.constantFrom('grüße', '日本'))
const value: fc.Arbitrary<AttributeValue> = fc.oneof(
  text,
  fc.bigInt({ min: BigInt(Number.MIN_SAFE_INTEGER), max: BigInt(Number.MAX_SAFE_INTEGER) }),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.date({ noInvalidDate: true, min: new Date('1000-01-01'), max: new Date('9000-01-01') }),
  fc.tuple(fc.nat(100_000), fc.nat(999_999_999)).map(([seconds, nanos]) => new Duration(seconds, nanos)),
  fc.uint8Array({ maxLength: 20 }),
  fc.dictionary(text, text, { maxKeys: 5 }).map((entries) => new Map(Object.entries(entries))),
)
const attributes = fc.dictionary(text, value, { maxKeys: 30 })

function entriesOf(bag: MutableBag): [string, AttributeValue][] {
  return [...bag.ownEntries()]
    .map(([name, one]): [string, AttributeValue] => [name, one instanceof Uint8Array ? Uint8Array.from(one) : one])
    .sort(([one], [other]) => (one < other ? -1 : 1))
}

describe('attributes read from bytes', () => {
  it('are those that were written, whatever they are', () => {
    fc.assert(
      fc.property(attributes, attributes, (first, second) => {
        const read = new MutableBag()
        const expected = new MutableBag()
        for (const one of [first, second]) {
          const message = encodeAttributes(bagOf(one))
          applyAttributeBytes(read, CompressedAttributes.encode(message).finish())
          applyAttributes(expected, message, wordReader(message.words))
        }
        expect(entriesOf(read)).toEqual(entriesOf(expected))
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  it('never do anything but fail with the reason when the bytes are something else', () => {
    const message = CompressedAttributes.encode(
      encodeAttributes(bagOf({ a: 'b', 'request.headers': new Map([['c', 'd']]), n: 5n, t: new Date(0) })),
    ).finish()
    const broken = fc.tuple(fc.nat(message.length - 1), fc.nat(255), fc.nat(message.length)).map(([at, byte, length]) => {
      const copy = Uint8Array.from(message.subarray(0, length))
      if (at < copy.length) copy[at] = byte
      return copy
    })
    fc.assert(
      fc.property(fc.oneof(broken, fc.uint8Array({ maxLength: 60 })), (bytes) => {
        const bag = new MutableBag()
        try {
          applyAttributeBytes(bag, bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_argument' })
          expect(entriesOf(bag)).toEqual([])
        }
      }),
      { seed: 7, numRuns: 2_000 },
    )
  })

  it('hold numbers of 64 bits exactly', () => {
    // Field 3 (int64s), an entry of 12 bytes: key 1, value -2 in ten bytes.
    const negative = Uint8Array.from([0x1a, 13, 0x08, 2, 0x10, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
    const bag = new MutableBag()
    applyAttributeBytes(bag, negative)
    expect(bag.get('source.port')).toBe(-2n)
  })

  it('have their words looked up wherever those stand, or among the default words', () => {
    const words = Uint8Array.from([0x0a, 1, 0x61, 0x0a, 1, 0x62])
    const entry = Uint8Array.from([0x12, 4, 0x08, 1, 0x10, 3])
    const bag = new MutableBag()
    applyAttributeBytes(bag, Buffer.concat([entry, words]))
    expect(bag.get('a')).toBe('b')
    applyAttributeBytes(bag, entry, GLOBAL_WORDS, ['c', 'd'])
    expect(bag.get('c')).toBe('d')
  })
})
