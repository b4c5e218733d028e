import { DiscoveryRequest } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRequestReader } from './request-reader.ts'

const names = (count: number, prefix = 'outbound|80||'): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}.example`)
const bytesOf = (request: Parameters<(typeof DiscoveryRequest)['fromPartial']>[0]): Buffer =>
  Buffer.from(DiscoveryRequest.encode(DiscoveryRequest.fromPartial(request)).finish())

test('a list of names that was read before is the same array', () => {
  const read = createRequestReader()
  const first = read(bytesOf({ typeUrl: 't', resourceNames: names(500), responseNonce: '1', node: { id: 'a' } }))
  const second = read(bytesOf({ typeUrl: 't', resourceNames: names(500), responseNonce: '2', versionInfo: 'v' }))
  expect(second).toEqual(
    DiscoveryRequest.fromPartial({ typeUrl: 't', resourceNames: names(500), responseNonce: '2', versionInfo: 'v' }),
  )
  expect(second.resourceNames).toBe(first.resourceNames)
})

test('another list of the same length is another array', () => {
  const read = createRequestReader()
  read(bytesOf({ resourceNames: names(500, 'a') }))
  expect(read(bytesOf({ resourceNames: names(500, 'b') })).resourceNames).toEqual(names(500, 'b'))
})

test('any request is read as the decoder reads it, also the second time', () => {
  const read = createRequestReader()
  const request = fc.record({
    versionInfo: fc.string(),
    typeUrl: fc.string(),
    responseNonce: fc.string(),
    resourceNames: fc.array(fc.string({ maxLength: 300 }), { maxLength: 60 }),
    node: fc.option(fc.record({ id: fc.string() }), { nil: undefined }),
  })
  fc.assert(
    fc.property(request, (one) => {
      const bytes = bytesOf(one)
      for (let time = 0; time < 2; time++) expect(read(bytes)).toEqual(DiscoveryRequest.decode(bytes))
    }),
    { seed: 3, numRuns: 300 },
  )
})

test('bytes that are no request fail as they do at the decoder', () => {
  const read = createRequestReader()
  const outcome = (act: () => unknown): string => {
    try {
      return JSON.stringify(act())
    } catch (error) {
      return String(error)
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      const bytes = Buffer.from(random)
      expect(outcome(() => read(bytes))).toBe(outcome(() => DiscoveryRequest.decode(bytes)))
    }),
    { seed: 5, numRuns: 500 },
  )
})
