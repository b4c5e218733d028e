import { bagOf } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import { manifestOf } from '@weft/attributes/manifest'
import { type AttributeValue, VALUE_TYPES } from '@weft/attributes/types'
import { compile } from '@weft/expressions/expression'
import { INTRINSICS } from '@weft/expressions/functions'
import { WeftError } from '@weft/service/errors'
import { type FuzzTarget, utf8 } from '../target.ts'

const manifest = manifestOf(new Map(VALUE_TYPES.map((type) => [type.toLowerCase(), type])))

const values: Record<string, AttributeValue> = {
  string: 'some text',
  int64: 42n,
  double: 1.5,
  bool: true,
  timestamp: new Date(0),
  ip_address: Uint8Array.of(10, 0, 0, 1),
  email_address: 'a@example.com',
  uri: 'http://example.com/a',
  dns_name: 'example.com',
  duration: new Duration(5),
  string_map: new Map([['key', 'value']]),
}
const full = bagOf(values)
const empty = bagOf({})

/** Text → parse, check, compile, evaluate: with all attributes there and with none. */
export const expressions: FuzzTarget = {
  seeds: utf8(
    'string == "a" && int64 != 2 || bool',
    'string_map["key"] | string | "x"',
    'ip("1.2.3.4") == ip_address',
    'timestamp("2015-01-02T15:04:35Z") == timestamp',
    'dnsName("a.example") == dns_name',
    'email("a@b.example") == email_address',
    'uri("http://a.example:80/b?c#d") == uri',
    '"^a.*b$".matches(string)',
    'string.startsWith("a") && string.endsWith(toLower("B"))',
    'conditional(bool, string, "c") + conditionalString(bool, "d", string)',
    'match(string, "a*") | size(string) > 3',
    'duration | "5ms"',
    '(string_map | emptyStringMap())["k"] | `raw`',
  ),
  words: utf8(
    ...VALUE_TYPES.map((type) => type.toLowerCase()),
    ...INTRINSICS.map(({ name }) => `${name}(`),
    ...[
      '==',
      '!=',
      '<',
      '<=',
      '&&',
      '||',
      '|',
      '+',
      '!',
      '(',
      ')',
      '[',
      ']',
      '.',
      ',',
      '"',
      '`',
      "'",
      '\\x41',
      '\\u1234',
      '"5s"',
      '1e9',
      '(?i)',
      '(a*)*',
      '\n',
    ],
  ),
  run(input) {
    const text = Buffer.from(input).toString('utf8')
    try {
      const expression = compile(text, manifest)
      for (const bag of [full, empty]) {
        try {
          expression.evaluate(bag)
        } catch (thrown) {
          if (!(thrown instanceof WeftError)) throw thrown
        }
      }
    } catch (thrown) {
      if (!(thrown instanceof WeftError)) throw thrown
    }
  },
}
