import { bagOf } from '@weft/attributes/bag'
import { decodeAttributes } from '@weft/attributes/decoding'
import { Duration } from '@weft/attributes/duration'
import { encodeAttributes, sameValue } from '@weft/attributes/encoding'
import { stringify } from '@weft/attributes/stringify'
import { CompressedAttributes } from '@weft/contracts/istio/mixer/v1/attributes'
import { WeftError } from '@weft/service/errors'
import { type FuzzTarget, utf8 } from '../target.ts'

const bag = bagOf({
  'request.path': '/a',
  'request.size': 300n,
  'response.duration': new Duration(1, 5),
  'request.time': new Date(1_500_000_000_000),
  'request.headers': new Map([
    [':path', '/a'],
    ['x', 'y'],
  ]),
  'source.ip': Uint8Array.of(127, 0, 0, 1),
  'connection.mtls': false,
  ratio: 0.5,
})

/** Bytes of a CompressedAttributes message → bag; what can be read prints, and travels once more unchanged. */
export const attributes: FuzzTarget = {
  seeds: [CompressedAttributes.encode(encodeAttributes(bag)).finish(), new Uint8Array()],
  words: [
    ...utf8('request.path'),
    Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f),
    Uint8Array.of(0x08, 0x01),
    Uint8Array.of(0x80, 0x80, 0x80),
  ],
  run(input) {
    let message: CompressedAttributes
    try {
      message = CompressedAttributes.decode(input)
    } catch {
      // No protobuf: the gRPC layer refuses it before it comes here.
      return
    }
    try {
      const read = decodeAttributes(message)
      const again = decodeAttributes(encodeAttributes(read))
      for (const name of read.names()) {
        const value = read.get(name)
        stringify(value)
        const isNumber = typeof value === 'number' && Number.isNaN(value)
        if (value !== undefined && !isNumber && !sameValue(value, again.get(name))) throw new Error(`${name} changed on its way`)
      }
    } catch (thrown) {
      if (!(thrown instanceof WeftError)) throw thrown
    }
  },
}
