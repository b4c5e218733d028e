import { encodeForwarded, ForwardedAttributes } from '@weft/proxy/filters/http/mixer/forwarded-attributes'
import { type FuzzTarget, utf8 } from '../target.ts'

const reader = new ForwardedAttributes([], () => {})
const OWN = /^(request|response|connection|destination|context|check|quota|api)\.|^source\.(principal|user)$|^origin\.ip$/

/** The `x-istio-attributes` header of a request → attributes, never those that a caller may not claim. */
export const forwardedAttributes: FuzzTarget = {
  seeds: utf8(
    encodeForwarded(new Map([['source.uid', 'kubernetes://a.b']])),
    encodeForwarded(new Map([['request.path', '/forged']])),
    '',
  ),
  words: utf8('=', '==', '////', 'AAAA', '\u00ff'),
  run(input) {
    const values = reader.read(Buffer.from(input).toString('latin1'))
    for (const name of values?.keys() ?? []) if (OWN.test(name)) throw new Error(`${name} was taken from the caller`)
  },
}
