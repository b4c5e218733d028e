import { ReportRequest, ReportRequest_RepeatedAttributesSemantics as Semantics } from '@weft/contracts/istio/mixer/v1/report'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bag, bagOf, MutableBag } from './bag.ts'
import { applyAttributes } from './decoding.ts'
import { Duration } from './duration.ts'
import { sameValue } from './encoding.ts'
import { GLOBAL_WORDS } from './global-words.ts'
import { ReportEncoder } from './report-encoder.ts'
import type { AttributeValue } from './types.ts'
import { wordReader } from './words.ts'

const value: fc.Arbitrary<AttributeValue> = fc.oneof(
  fc.string(),
  fc.constantFrom(...GLOBAL_WORDS),
  fc.bigInt({ min: -(2n ** 53n) + 1n, max: 2n ** 53n - 1n }),
  fc.double({ noNaN: true }).filter((number) => !Object.is(number, -0)),
  fc.boolean(),
  fc.date({ noInvalidDate: true, min: new Date('0001-01-01'), max: new Date('9999-12-31') }),
  fc.integer().map((seconds) => new Duration(seconds, seconds < 0 ? -5 : 7)),
  fc.uint8Array({ maxLength: 300 }).map((bytes): AttributeValue => bytes),
  fc.array(fc.tuple(fc.string(), fc.string())).map((entries): AttributeValue => new Map(entries)),
)
const names = fc.oneof(fc.string(), fc.constantFrom(...GLOBAL_WORDS))

/** The records as generated code, another encoder's peer, reads them. */
function read(encoder: ReportEncoder): MutableBag[] {
  const request = ReportRequest.decode(encoder.finish())
  expect(request.globalWordCount).toBe(203)
  const bags: MutableBag[] = []
  let bag = new MutableBag()
  for (const message of request.attributes) {
    bag = request.repeatedAttributesSemantics === Semantics.DELTA_ENCODING ? bag.copy() : new MutableBag()
    applyAttributes(bag, message, wordReader(request.defaultWords))
    bags.push(bag)
  }
  return bags
}

function expectSame(actual: Bag | undefined, expected: Bag): void {
  expect([...(actual?.names() ?? [])].sort()).toEqual([...expected.names()].sort())
  for (const name of expected.names()) {
    const wanted = expected.get(name)
    expect(wanted !== undefined && sameValue(wanted, actual?.get(name)), name).toBe(true)
  }
}

describe('a report', () => {
  it('gives back records of one shape that were sent as deltas', () => {
    const records = fc
      .uniqueArray(names, { maxLength: 12 })
      .chain((shape) =>
        fc.array(fc.tuple(...shape.map(() => value)).map((values) => shape.map((name, i) => [name, values[i] ?? ''] as const))),
      )
    fc.assert(
      fc.property(records, fc.dictionary(names, value, { noNullPrototype: true }), (all, shared) => {
        const parent = bagOf(shared)
        const bags = all.map((entries) => new MutableBag(parent, entries))
        const encoder = new ReportEncoder(Semantics.DELTA_ENCODING)
        for (const bag of bags) {
          expect(encoder.fits(bag)).toBe(true)
          expect(encoder.add(bag)).toBe(true)
        }
        for (const [i, bag] of read(encoder).entries()) expectSame(bag, bags[i] ?? parent)
        expect(encoder.records).toBe(bags.length)
      }),
      { numRuns: 300, seed: 4 },
    )
  })

  it('gives back records of any shape that were sent whole', () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(names, value, { noNullPrototype: true })), (all) => {
        const encoder = new ReportEncoder(Semantics.INDEPENDENT_ENCODING)
        const bags = all.map(bagOf)
        for (const bag of bags) encoder.add(bag)
        const back = read(encoder)
        expect(back).toHaveLength(bags.length)
        for (const [i, bag] of bags.entries()) expectSame(back[i], bag)
      }),
      { numRuns: 200, seed: 5 },
    )
  })

  it('repeats nothing that stays the same', () => {
    const parent = bagOf({ 'destination.service': 'reviews' })
    const encoder = new ReportEncoder(Semantics.DELTA_ENCODING)
    const record = (size: bigint) =>
      new MutableBag(parent, [
        ['request.path', '/a'],
        ['request.size', size],
      ])
    encoder.add(record(1n))
    const before = encoder.size
    encoder.add(record(2n))
    expect(encoder.size - before).toBeLessThan(12)
  })

  it('takes no record with other attributes, or another parent, among deltas', () => {
    const encoder = new ReportEncoder(Semantics.DELTA_ENCODING)
    encoder.add(bagOf({ a: 'x', b: 'y' }))
    expect(encoder.fits(bagOf({ a: 'z', b: 'y' }))).toBe(true)
    expect(encoder.fits(bagOf({ a: 'z' }))).toBe(false)
    expect(encoder.fits(bagOf({ a: 'z', c: 'y' }))).toBe(false)
    expect(
      encoder.fits(
        new MutableBag(bagOf({}), [
          ['a', 'z'],
          ['b', 'y'],
        ]),
      ),
    ).toBe(false)
  })

  it('refuses a record that is too long alone, and goes on with the next', () => {
    const encoder = new ReportEncoder(Semantics.DELTA_ENCODING)
    expect(encoder.add(bagOf({ a: new Uint8Array(3 << 20) }))).toBe(false)
    expect(encoder.add(bagOf({ a: new Uint8Array(3) }))).toBe(true)
    expect(read(encoder)).toHaveLength(1)
  })
})
