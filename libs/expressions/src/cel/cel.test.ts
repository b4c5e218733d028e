import { expect, test } from 'vitest'
import { type CelOptions, compileCel } from './compile.ts'
import { parseCel } from './parser.ts'
import { formatDuration, formatTimestamp } from './time.ts'
import { CelDuration, CelError, CelMap, type CelResult, CelTimestamp, CelType, CelUint, fromJson } from './values.ts'

const options: CelOptions = {
  search: (pattern) => {
    const regex = new RegExp(pattern)
    return (text) => regex.test(text)
  },
}

const names = new Map([['request', fromJson({ path: '/a', headers: { 'x-a': '1,2' }, sizes: [1, 2], none: null })]])

function evaluate(text: string): CelResult {
  return compileCel(parseCel(text), options)((name) => names.get(name))
}

function shown(value: CelResult): unknown {
  if (value instanceof CelError) return 'error'
  if (value instanceof CelUint) return `${value.value}u`
  if (value instanceof CelDuration) return formatDuration(value)
  if (value instanceof CelTimestamp) return formatTimestamp(value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (value instanceof CelType) return `type ${value.name}`
  return value instanceof CelMap ? 'map' : value
}

const literals: readonly (readonly [string, unknown])[] = [
  ['1', 1n],
  ['0x1F', 31n],
  ['-9223372036854775808', -9223372036854775808n],
  ['18446744073709551615u', '18446744073709551615u'],
  ['.5', 0.5],
  ['1e3', 1000],
  ["'a\\'b'", "a'b"],
  ["r'\\d'", '\\d'],
  ["'\\x41\\u0042\\103\\n'", 'ABC\n'],
  ["'''tri'ple'''", "tri'ple"],
  ["b'a\\xff\\377'", '61ffff'],
  ["bR'\\x'", '5c78'],
  ['null', null],
  ['1 // and a comment', 1n],
  ['[1, 2,]', [1n, 2n]],
  ["{'a': 1,}", 'map'],
]

const operators: readonly (readonly [string, unknown])[] = [
  ['1 + 2 * 3', 7n],
  ['-5 / 2', -2n],
  ['-5 % 3', -2n],
  ['--1', 1n],
  ['!!true', true],
  ['1 / 0', 'error'],
  ["{'a': null}.a", null],
  ["{'a': null}['a'] == null", true],
  ['5 % 0', 'error'],
  ['1.0 / 0.0', Number.POSITIVE_INFINITY],
  ['5.0 % 2.0', 'error'],
  ['9223372036854775807 + 1', 'error'],
  ['-(-9223372036854775807 - 1)', 'error'],
  ['1u - 2u', 'error'],
  ['1 + 1u', 'error'],
  ["'a' + 'b'", 'error'],
  ['1 == 1.0 && 1u == 1', true],
  ["1 == 'a'", false],
  ['0.0 / 0.0 == 0.0 / 0.0', false],
  ['[1] == [1.0]', true],
  ["{'a': 1} == {'a': 1.0}", true],
  ["{'a': 1} == {'a': 1, 'b': 2}", false],
  ['1 < 1.5', true],
  ["'a' < 1", 'error'],
  ['[1] < [2]', 'error'],
  ["b'a' < b'b'", true],
  ["'\\U0001F600' > '\\uffff'", true],
  ['1 in [1.0]', true],
  ["'a' in {'a': 1}", true],
  ['true ? 1 : request.nothing', 1n],
  ['1 ? 2 : 3', 'error'],
  ['false ? 1 : true ? 2 : 3', 2n],
  ['1 == 2 == false', true],
  ['[1, 2][1.0]', 2n],
  ['[1, 2][2]', 'error'],
  ['{1u: 2}[1]', 2n],
  ["{'a': 1, 'a': 2}", 'error'],
  ['{1.0: 2}', 'error'],
]

const absorption: readonly (readonly [string, unknown])[] = [
  ['request.nothing', 'error'],
  ['nothing == 1 || true', true],
  ['true || nothing == 1', true],
  ['nothing == 1 && false', false],
  ['nothing == 1 && true', 'error'],
  ['1 || true', true],
  ['1 && true', 'error'],
  ['!nothing', 'error'],
  ['has(request.nothing)', false],
  ["has(request.path) && has(request['headers'].none) == false", true],
  ['has(nothing.x)', 'error'],
]

const functions: readonly (readonly [string, unknown])[] = [
  ["size('caf\\u00e9')", 4n],
  ["'\\U0001F600'.size()", 1n],
  ["b'\\xc3\\xa9'.size()", 2n],
  ['size(request.headers)', 1n],
  ["'abc'.contains('b') && startsWith('abc', 'a') && 'abc'.endsWith('c')", true],
  ["'abc'.matches('^b') || matches('abc', 'b.$')", true],
  ["request.path.matches('[' + 'x')", 'error'],
  ["int('12') + int(1.9) + int(2u)", 15n],
  ["int('0x10')", 'error'],
  ['int(9223372036854775808.0)', 'error'],
  ['uint(-1)', 'error'],
  ["bool('TRUE')", true],
  ["double('inf')", Number.POSITIVE_INFINITY],
  ['type(1) == int && type(type(1)) == type', true],
  ['type(request.path)', 'type string'],
  ["duration('1h1m1s1ms1us1ns')", '1h1m1.001001001s'],
  ["duration('-1.5ms')", '-1.5ms'],
  ["duration('1d')", 'error'],
  ["duration('3730.5s').getMinutes()", 62n],
  ["duration('3730.5s').getMilliseconds()", 500n],
  ["timestamp('2020-01-01T00:00:00+02:00')", '2019-12-31T22:00:00+00:00'],
  ["timestamp('2020-01-01')", 'error'],
  ["timestamp('2020-02-30T00:00:00Z')", 'error'],
  ["timestamp('2020-01-01T00:00:00Z') - timestamp('2019-01-01T00:00:00Z')", '8760h'],
  ["timestamp('2020-02-03T04:05:06.789Z').getDayOfYear()", 33n],
  ["timestamp('2020-02-03T04:05:06.789Z').getDate()", 3n],
  ["timestamp('2020-02-03T04:05:06.789Z').getDayOfMonth()", 2n],
  ["timestamp('2020-02-03T04:05:06.789Z').getHours('America/New_York')", 23n],
  ["timestamp('2020-02-03T04:05:06.789Z').getHours('-02:30')", 1n],
  ["timestamp('2020-02-03T04:05:06.789Z').getHours('Nowhere/X')", 'error'],
]

test.each([...literals, ...operators, ...absorption, ...functions])('%s', (text, expected) => {
  expect(shown(evaluate(text))).toEqual(expected)
})

test.each([
  ['if', '1:1'],
  ['a.in', '1:3'],
  ["'a", '1:1'],
  ['"\\q"', '1:1'],
  ["'\\ud800'", '1:1'],
  ['1 +', '1:4'],
  ['a b', '1:3'],
  ['f(1,)', '1:5'],
  ['has(1)', '1:1'],
  ['9223372036854775808', '1:1'],
  ['a\n & b', '2:2'],
  ['@in(1, [1])', '1:1'],
])('%j is refused at %s', (text, place) => {
  expect(() => parseCel(text)).toThrow(expect.objectContaining({ where: { path: place } }))
})

test.each(['nofn(1)', "'abc'.int()", 'size(1, 2)', "matches('a')", '[1].all(x, x > 0)', "'a'.lowerAscii()", "'x'.matches('[')"])(
  '%s is refused, since there is nothing to call',
  (text) => {
    expect(() => evaluate(text)).toThrow()
  },
)

test.each(['double', 'int', 'uint', 'bool', 'duration', 'timestamp'])('%s() of a long text that is none ends soon', (name) => {
  // What takes more than a step a digit would not be over in the test's time.
  for (const text of ['1'.repeat(90_000), ' '.repeat(90_000), `1.${'1'.repeat(90_000)}`])
    expect(shown(evaluate(`${name}('${text}x')`))).toBe('error')
})

test.each([
  ['brackets', '('.repeat(100_000)],
  ['signs', '!'.repeat(50_000)],
  ['a long sum', `1${'+1'.repeat(40_000)}`],
  ['a long text', `'${'x'.repeat(200_000)}'`],
  ['a chain of fields', `a${'.b'.repeat(40_000)}`],
  ['lists', '['.repeat(50_000)],
  ['conditions', 'a?b:'.repeat(20_000)],
])('%s without end are refused', (_name, text) => {
  expect(() => evaluate(text)).toThrow(/more than|at most/)
})
