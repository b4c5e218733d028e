import { bagOf } from '@weft/attributes/bag'
import { encodeAttributes } from '@weft/attributes/encoding'
import { CompressedAttributes } from '@weft/contracts/istio/mixer/v1/attributes'
import { CheckRequest } from '@weft/contracts/istio/mixer/v1/check'
import { ReportRequest, ReportRequest_RepeatedAttributesSemantics as Semantics } from '@weft/contracts/istio/mixer/v1/report'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { readCheckRequest, readReportRequest } from './request-bytes.ts'

const attributes = encodeAttributes(bagOf({ 'request.path': '/', own: 'word' }))
const check = CheckRequest.encode({
  attributes,
  globalWordCount: 203,
  deduplicationId: 'grüße',
  quotas: { requests: { amount: 7, bestEffort: true }, back: { amount: -3, bestEffort: false } },
}).finish()
const report = ReportRequest.encode({
  attributes: [attributes, attributes],
  defaultWords: ['a', 'b'],
  globalWordCount: 100,
  repeatedAttributesSemantics: Semantics.INDEPENDENT_ENCODING,
}).finish()

it('reads what a check asks', () => {
  const read = readCheckRequest(check)
  expect(CompressedAttributes.decode(read.attributes)).toEqual(attributes)
  expect({ ...read, attributes: undefined }).toEqual({
    attributes: undefined,
    globalWordCount: 203,
    deduplicationId: 'grüße',
    quotas: [
      { name: 'requests', amount: 7, bestEffort: true },
      { name: 'back', amount: -3, bestEffort: false },
    ],
  })
})

it('reads what a report brings', () => {
  const read = readReportRequest(report)
  expect(read.records.map((record) => CompressedAttributes.decode(record))).toEqual([attributes, attributes])
  expect({ ...read, records: [] }).toEqual({ records: [], defaultWords: ['a', 'b'], globalWordCount: 100, delta: false })
  expect(readReportRequest(new Uint8Array())).toEqual({ records: [], defaultWords: [], globalWordCount: 0, delta: true })
})

it('refuses what is no message, whatever it is', () => {
  const broken = fc
    .tuple(fc.constantFrom(check, report), fc.nat(200), fc.nat(255), fc.nat(200))
    .map(([message, at, byte, length]) => {
      const copy = Uint8Array.from(message.subarray(0, length))
      if (at < copy.length) copy[at] = byte
      return copy
    })
  fc.assert(
    fc.property(
      fc.oneof(broken, fc.uint8Array({ maxLength: 100 })),
      fc.constantFrom(readCheckRequest, readReportRequest),
      (bytes, read) => {
        try {
          read(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_argument' })
        }
      },
    ),
    { seed: 3, numRuns: 3_000 },
  )
})
