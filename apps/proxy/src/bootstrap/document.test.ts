import { WeftError } from '@weft/service/errors'
import { describe, expect, test } from 'vitest'
import { parseConfigDocument } from './document.ts'

/** What is told of a file that cannot be read; empty where it can. */
function refusalOf(text: string): string {
  try {
    parseConfigDocument(text, 'x.yaml')
    return ''
  } catch (error) {
    return WeftError.from(error).describe()
  }
}

describe('a configuration document', () => {
  test.each([
    ['a: y', { a: true }],
    ['a: on', { a: true }],
    ['a: No', { a: false }],
    ['a: n', { a: false }],
    ["a: 'y'", { a: 'y' }],
    ['a: "1"', { a: '1' }],
    ['a: 12', { a: 12 }],
    ['a: -3', { a: -3 }],
    ['a: 0x1f', { a: 31 }],
    ['a: 010', { a: 8 }],
    ['a: 1.5', { a: '1.5' }],
    ['a: 10:30', { a: '10:30' }],
    ['a: 2026-11-24', { a: '2026-11-24' }],
    ['a: ~', { a: null }],
    ['a:', { a: null }],
    ['a: 99999999999999999999', { a: '99999999999999999999' }],
    ['{"a": [1, true, "x", null]}', { a: [1, true, 'x', null] }],
    ['', {}],
    ['a: &x {b: 1}\nc: *x', { a: { b: 1 }, c: { b: 1 } }],
    ['__proto__: {polluted: 1}', JSON.parse('{"__proto__": {"polluted": 1}}')],
  ])('reads %j as Envoy does', (text, json) => {
    expect(parseConfigDocument(text).json).toEqual(json)
  })

  test.each([
    ['a: [1', /x\.yaml:\d: not readable as YAML/],
    ['a: 1\na: 2', /x\.yaml:2: not readable as YAML: .*unique/],
    ['- 1', /a map of fields at its top/],
    ['\ta: 1', /x\.yaml:1/],
    ['a: *nobody', /x\.yaml:1/],
    ['? [a, b]\n: 1', /a key that is not text/],
  ])('tells the file and line of %j', (text, message) => {
    expect(refusalOf(text)).toMatch(message)
  })

  test.each([
    '{"a": {"b": [1, -2, 1.5, 1e3, 12345678901234567890, true, false, null, "", "y", "07", "a\\"b: \\\\", "\\u00e9:"]}}',
    ' \n{"": 1, "x" : {"__proto__": {"c": []}, "deep": [[[{}]]]}}\n',
    `{"a": ${'['.repeat(90)}${']'.repeat(90)}}`,
  ])('reads JSON as the YAML that it is: %s', (text) => {
    const asYaml = parseConfigDocument(`# no JSON has this\n${text}`)
    expect(parseConfigDocument(text).json).toEqual(asYaml.json)
  })

  test.each([
    ['{"a": 1,\n"a": 2}', /x\.yaml:2: not readable as YAML: .*unique/],
    ['{"a": 1,\n "b": }}', /x\.yaml:2/],
    [`{"a": ${'['.repeat(500)}${']'.repeat(500)}}`, /nested deeper/],
  ])('tells the file and line of what is no good JSON', (text, message) => {
    expect(refusalOf(text)).toMatch(message)
  })

  test('knows the lines of JSON', () => {
    expect(parseConfigDocument('{"a": {\n"b": [1,\n2]}}').lineOf(['a', 'b', 1])).toBe(3)
  })

  test('knows the line of a value, of a field by either of its names, and of the nearest above one that is not there', () => {
    const document = parseConfigDocument('top:\n  items:\n  - a: 1\n  - connectTimeout: 2\n    b: 3\n')
    expect(document.lineOf(['top', 'items', 1, 'connect_timeout'])).toBe(4)
    expect(document.lineOf(['top', 'items', 1, 'b'])).toBe(5)
    expect(document.lineOf(['top', 'items', 1, 'missing', 'deep'])).toBe(4)
    expect(document.lineOf(['nowhere'])).toBe(1)
  })

  test('bounds what nesting and aliases can make of a small text', () => {
    expect(() => parseConfigDocument(`a: ${'['.repeat(500)}${']'.repeat(500)}`)).toThrow(/nested deeper/)
    const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
    for (let level = 1; level < 10; level++)
      bomb.push(
        `a${level}: &a${level} [${Array(10)
          .fill(`*a${level - 1}`)
          .join(', ')}]`,
      )
    expect(() => parseConfigDocument(bomb.join('\n'))).toThrow(/aliases stand for more than/)
  })
})
