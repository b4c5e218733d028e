import { bagOf } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import { manifestOf } from '@weft/attributes/manifest'
import type { AttributeValue, ValueType } from '@weft/attributes/types'
import { WeftError } from '@weft/service/errors'
import { describe, expect, it } from 'vitest'
import { compile, compilePredicate } from './expression.ts'

const TYPES: Record<string, ValueType> = {
  s: 'STRING',
  t: 'STRING',
  'request.path': 'STRING',
  'request.headers': 'STRING_MAP',
  m: 'STRING_MAP',
  n: 'STRING_MAP',
  i: 'INT64',
  j: 'INT64',
  d: 'DOUBLE',
  b: 'BOOL',
  at: 'TIMESTAMP',
  dur: 'DURATION',
  ip: 'IP_ADDRESS',
  dns: 'DNS_NAME',
  mail: 'EMAIL_ADDRESS',
  uri: 'URI',
}
const manifest = manifestOf(TYPES)

function evaluate(text: string, values: Record<string, AttributeValue> = {}): AttributeValue {
  return compile(text, manifest).evaluate(bagOf(values))
}

function refusal(action: () => unknown): WeftError {
  try {
    action()
  } catch (thrown) {
    if (thrown instanceof WeftError) return thrown
    throw thrown
  }
  throw new Error('nothing was refused')
}

describe('an expression', () => {
  it.each<[string, Record<string, AttributeValue>, AttributeValue]>([
    ['request.headers["x"] | s | "none"', {}, 'none'],
    ['!b', { b: false }, true],
    ['i < 5 && i <= 4 && i > 3 && i >= 4', { i: 4n }, true],
    ['"a" < "b" && !("b" < "a")', {}, true],
    ['dur > "1s"', { dur: new Duration(1, 1) }, true],
    ['at < timestamp("2020-01-01T00:00:00Z")', { at: new Date('2019-12-31T23:59:59Z') }, true],
    ['toLower(s)', { s: 'ÄB' }, 'äb'],
    ['size(s)', { s: 'é' }, 2n],
    ['i + j', { i: 9223372036854775807n, j: 1n }, -9223372036854775808n],
    ['d + 0.5', { d: 1 }, 1.5],
    ['conditionalString(b, "x", s)', { b: true }, 'x'],
    ['ip == ip("::ffff:10.0.0.1")', { ip: Uint8Array.of(10, 0, 0, 1) }, true],
    ['`a\\b` == "a\\\\b"', {}, true],
    ['\'x\' == "\\u0078"', {}, true],
    ['"\\xc3\\xa9" == "é"', {}, true],
    ['request.path.startsWith("/api") && request.path.endsWith(".json")', { 'request.path': '/api/a.json' }, true],
    ['match(s, "a*") && match(s, "*c") && !match(s, "b")', { s: 'abc' }, true],
    ['"^/reviews/[0-9]+$".matches(request.path)', { 'request.path': '/reviews/12' }, true],
    ['(m | n | emptyStringMap())["k"] | "none"', {}, 'none'],
    ['conditional(b, m, n)["k"]', { b: false, n: new Map([['k', 'v']]) }, 'v'],
    ['mail == email("a.b@EXAMPLE.com")', { mail: '"a.b"@example.com' }, true],
    ['dns == dnsName("bücher.example")', { dns: 'xn--bcher-kva.example.' }, true],
    ['uri == uri("HTTP://Example.com/a")', { uri: 'http://example.com./a' }, true],
    ['uri == uri("http://example.com/A")', { uri: 'http://example.com/a' }, false],
  ])('%s', (text, values, expected) => {
    expect(evaluate(text, values)).toEqual(expected)
  })

  it('takes | as strong as +, as Go does', () => {
    expect(evaluate('s | "a" + t', { s: 'x', t: 'y' })).toBe('xy')
  })

  it('gives undefined by resolve where an attribute is absent, and the reason by evaluate', () => {
    const expression = compile('s == "a"', manifest)
    expect(expression.resolve(bagOf({}))).toBeUndefined()
    const error = refusal(() => expression.evaluate(bagOf({})))
    expect(error.code).toBe('not_found')
    expect(error.message).toBe("lookup failed: 's'")
  })

  it('tells an absent map from an absent entry', () => {
    expect(refusal(() => evaluate('m["k"]')).message).toBe("lookup failed: 'm'")
    expect(refusal(() => evaluate('m["k"]', { m: new Map() })).message).toBe("member lookup failed: 'k'")
  })

  it('does not recover from an absence inside a function’s arguments', () => {
    expect(refusal(() => evaluate('ip(s) | ip("1.2.3.4")')).message).toBe("lookup failed: 's'")
    expect(refusal(() => evaluate('m[s] | "x"', { m: new Map() })).message).toBe("lookup failed: 's'")
  })

  it('never runs the side that && or || has no need of', () => {
    expect(evaluate('b || s == "x"', { b: true })).toBe(true)
    expect(evaluate('b && s == "x"', { b: false })).toBe(false)
  })

  it.each([
    ['s ==', '1:5', "expected operand, found 'EOF'"],
    ['(s', '1:3', "expected ')', found 'EOF'"],
    ['s "x"', '1:3', 'expected \'EOF\', found "x"'],
    ['s = "x"', '1:3', "expected '==', found '='"],
    ['s ==\n  #', '2:3', 'illegal character "#"'],
    ['"abc', '1:1', 'string literal not terminated'],
    ['"\\q"', '1:1', 'invalid string literal'],
    ['i == 0x10', '1:6', 'invalid syntax'],
    ['i == 9223372036854775808', '1:6', 'value out of range'],
    ['m["k"].name', '1:7', 'only a method call may'],
  ])('refuses %s at %s', (text, position, problem) => {
    const error = refusal(() => compile(text, manifest))
    expect(error.code).toBe('invalid_argument')
    expect(error.where?.path).toBe(position)
    expect(error.message).toContain(problem)
  })

  it.each([
    ['nosuch == "x"', '1:1', 'unknown attribute nosuch'],
    ['s && b', '1:1', 'LAND($s, $b) arg 1 ($s) typeError got STRING, expected BOOL'],
    ['b + b', '1:3', 'ADD($b, $b) typeError got BOOL, expected one of STRING, INT64, DOUBLE'],
    ['ip < ip', '1:4', 'LSS($ip, $ip) typeError got IP_ADDRESS, expected one of'],
    ['m == n', '1:3', 'have no equality'],
    ['s.ip()', '1:3', 'invoking regular function on instance method: ip'],
    ['i.startsWith("x")', '1:1', '$i:startsWith("x") target ($i) typeError got INT64, expected STRING'],
    ['size(s, t)', '1:1', 'size($s, $t) arity mismatch. Got 2 arg(s), expected 1 arg(s)'],
    ['"([".matches(s)', '1:6', 'error parsing regexp: missing closing ]'],
    ['-i == 3', '1:1', 'unknown function: SUB'],
  ])('refuses the types of %s at %s', (text, position, problem) => {
    const error = refusal(() => compile(text, manifest))
    expect(error.message).toContain(problem)
    expect(error.where?.path).toBe(position)
  })

  it('refuses what is too long or too deep, rather than running out of stack', () => {
    expect(refusal(() => compile(`"${'x'.repeat(40_000)}"`, manifest)).message).toContain('longer than 32768')
    expect(refusal(() => compile(`${'('.repeat(10_000)}b${')'.repeat(10_000)}`, manifest)).message).toContain('nested deeper')
    expect(refusal(() => compile(`${'!'.repeat(10_000)}b`, manifest)).message).toContain('nested deeper')
    const clauses = Array.from({ length: 400 }, (_, i) => `s == "${i}x"`).join(' || ')
    expect(compile(clauses, manifest).evaluate(bagOf({ s: '399x' }))).toBe(true)
  })

  it('answers an adversarial pattern in linear time', () => {
    const start = performance.now()
    expect(evaluate('"^(a+)+$".matches(s)', { s: `${'a'.repeat(5000)}!` })).toBe(false)
    expect(performance.now() - start).toBeLessThan(5000)
  })

  it('refuses a pattern from the request that is no pattern', () => {
    expect(refusal(() => evaluate('s.matches(t)', { s: '(', t: 'x' })).message).toContain('error parsing regexp')
  })

  it('refuses a value of another type than the manifest declares', () => {
    expect(refusal(() => evaluate('s', { s: 20n })).message).toBe("error converting value to string: '20'")
  })
})

describe('a predicate', () => {
  it('has to be BOOL', () => {
    expect(refusal(() => compilePredicate('s', manifest)).message).toContain('gives STRING, expected BOOL')
    expect(compilePredicate('b', manifest).evaluate(bagOf({ b: true }))).toBe(true)
    expect(compilePredicate('b', manifest).resolve(bagOf({}))).toBeUndefined()
  })
})
