import { Http2ProtocolOptions } from '@weft/contracts/envoy/config/core/v3/protocol'
import { expect, test } from 'vitest'
import { compileHttp2Options } from './http2-options.ts'

test.each([
  [{}, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  [{ streamResetBurst: 5 }, 5, 33],
  [{ streamResetRate: 5 }, 1000, 5],
  [{ streamResetBurst: 0, streamResetRate: 0 }, 0, 0],
])('stream_reset_burst and _rate %o: resets are limited to %d and %d a second', (fields, resetBurst, resetsPerSecond) => {
  expect(compileHttp2Options(Http2ProtocolOptions.fromPartial(fields)).budget).toMatchObject({ resetBurst, resetsPerSecond })
})

test.each([
  [undefined, true],
  [true, true],
  [false, false],
])('enable_huffman_encoding %s: header texts are coded %s', (enableHuffmanEncoding, coded) => {
  expect(compileHttp2Options(Http2ProtocolOptions.fromPartial({ enableHuffmanEncoding })).huffman).toBe(coded)
})
