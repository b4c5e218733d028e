import { compileCel } from '@weft/expressions/cel/compile'
import { parseCel } from '@weft/expressions/cel/parser'
import { CelDuration, CelMap, type CelResult, CelTimestamp, mapOf } from '@weft/expressions/cel/values'
import { WeftError } from '@weft/service/errors'
import { type FuzzTarget, utf8 } from '../target.ts'

const headers = mapOf([
  ['host', 'shop.example'],
  ['x-user', 'anna'],
])
const request = mapOf([
  ['path', '/cart?item=1'],
  ['size', 42n],
  ['headers', headers instanceof CelMap ? headers : ''],
  ['time', new CelTimestamp(1_700_000_000_000_000_000n)],
  ['duration', new CelDuration(5_000_000n)],
  ['parts', ['a', 'b', 'c']],
  ['share', 0.5],
  ['secure', true],
])
const scope = (name: string): CelResult | undefined => (name === 'request' ? request : undefined)

/** Text → parse, compile, evaluate. Whatever is wrong with a text is an error of its own kind, and whatever it asks for ends soon. */
export const cel: FuzzTarget = {
  seeds: utf8(
    'request.path.startsWith("/cart") && request.size > 40',
    'request.headers["x-user"] in ["anna", "ben"] || !request.secure',
    'has(request.headers) ? request.headers.size() : -1',
    'request.parts.exists(p, p == "b") && request.parts.all(p, p.size() == 1)',
    'request.parts.filter(p, p != "a").map(p, p + "!") == ["b!", "c!"]',
    'request.parts.exists_one(p, p.matches("^[ab]$"))',
    'request.time.getFullYear("Europe/Berlin") >= 2023 && request.duration < duration("1h")',
    'timestamp("2023-11-14T22:13:20Z") - request.time == duration("0s")',
    '{"a": 1, "b": 2u}["a"] + int("7") * 3 % 2 - 1 / 5',
    "string(request.share) + b'bytes' + r'raw\\n' + '''long'''",
    'type(request.size) == int && double(request.size) != 1e3',
  ),
  words: utf8(
    ...['request', '.headers', '.parts', '.path', '.size()', '.map(', '.filter(', '.all(', '.exists(', 'has(', 'x,', 'matches('],
    ...['==', '!=', '<=', '&&', '||', '!', '-', '+', '%', '/', '?', ':', '[', ']', '{', '}', '(', ')', ',', ' in '],
    ...['9223372036854775807', '-9223372036854775808', '18446744073709551615u', '1e999', '0x7f', '"', "'''", "b'", '\\u{110000}'],
    ...['duration("', 'timestamp("', 'string(', 'bytes(', 'uint(', 'dyn(', 'type(', 'null', 'true', '// end\n', '(a*)*$'],
  ),
  run(input) {
    try {
      const program = compileCel(parseCel(Buffer.from(input).toString('utf8')), { search: searchAsWritten })
      const result = program(scope)
      if (result === undefined) throw new Error('an expression came to nothing')
    } catch (thrown) {
      if (!(thrown instanceof WeftError)) throw thrown
    }
  },
}

/** Whether a text has what a pattern looks for: what a proxy would ask RE2 for is not what is tried here. */
function searchAsWritten(pattern: string): (text: string) => boolean {
  return (text) => text.includes(pattern)
}
