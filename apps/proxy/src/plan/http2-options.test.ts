import { Http2ProtocolOptions } from '@weft/contracts/envoy/config/core/v3/protocol'
import { expect, test } from 'vitest'
import { compileHttp2Options } from './http2-options.ts'

test.each([
  [undefined, true],
  [true, true],
  [false, false],
])('enable_huffman_encoding %s: header texts are coded %s', (enableHuffmanEncoding, coded) => {
  expect(compileHttp2Options(Http2ProtocolOptions.fromPartial({ enableHuffmanEncoding })).huffman).toBe(coded)
})
