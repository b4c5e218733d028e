import { RE2JS } from 're2js'
import { afterEach, describe, expect, it } from 'vitest'
import { programSize } from './program-size.ts'
import { compileRegex, limitPrograms } from './regex.ts'
import { compileStringMatcher, compileTextMatcher } from './string-matcher.ts'

/** Patterns with the sizes that Envoy 1.40 told. */
const sizes: [string, number][] = [
  ['a', 5],
  ['a*', 5],
  ['a+b+c+', 12],
  ['abc|abd', 7],
  ['.*', 6],
  ['(?s).*', 6],
  ['(a)(b)', 10],
  ['(a*)*', 11],
  ['^/a$', 4],
  ['[a-zA-Z0-9_-]+', 9],
  ['\\bfoo\\b', 9],
  ['(x|y){2,3}', 14],
  ['/v1/(users|orders|items)/[0-9]+', 29],
  ['[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}', 72],
  ['a{1000}', 1004],
]

afterEach(() => limitPrograms({}))

describe('regular expressions', () => {
  it.each(sizes)('%s has the size that RE2 gives it', (pattern, size) => {
    expect(programSize(RE2JS.compile(pattern))).toBe(size)
  })

  it('refuses a program of more than 100 instructions, unless the runtime takes it', () => {
    expect(() => compileRegex('a{97}', 'x')).toThrow("regex 'a{97}' RE2 program size of 101 > max program size of 100")
    expect(compileRegex('a{96}', 'x').fullMatch('a'.repeat(96))).toBe(true)
    limitPrograms({ 're2.max_program_size.error_level': 101 })
    expect(compileRegex('a{97}', 'x').fullMatch('a'.repeat(97))).toBe(true)
    expect(() => compileRegex('a{98}', 'x')).toThrow('max program size of 101')
  })

  // What Envoy 1.40 made of the same.
  it.each([
    ['[^/]*', '/b/22/c', '/n//n//n//n'],
    ['.*', '/a', '/n'],
    ['a*', 'baac', '/nb/nc/n'],
    ['', 'ab', '/na/nb/n'],
    ['^/', '//', '/n/'],
    ['/([^/]*)', '/a/b', '/n/n'],
  ])('replaces every match of %s in %s, an empty one not where the last ended', (pattern, text, made) => {
    expect(compileRegex(pattern, 'x').replaceAll(text, '/n')).toBe(made)
  })

  it('puts groups in, and backslashes', () => {
    expect(compileRegex('/([^/]*)/(.*)', 'x').replaceAll('/a/b/c', '\\2\\\\$1\\0')).toBe('b/c\\$1/a/b/c')
  })

  it('takes a repeated anchor', () => {
    expect(compileRegex('^*a$+', 'x').fullMatch('a')).toBe(true)
  })

  it('looks at bytes', () => {
    const bytes = Buffer.from('ré').toString('latin1')
    expect(compileRegex('ré+', 'x').fullMatch(bytes)).toBe(true)
    expect(compileRegex('r..', 'x').fullMatch(bytes)).toBe(true)
    expect(compileRegex('é', 'x').replaceAll(bytes, 'ü')).toBe(Buffer.from('rü').toString('latin1'))
  })
})

describe('string matchers', () => {
  it('compare the bytes of what came with those of the configuration', () => {
    const matches = compileStringMatcher({ ignoreCase: false, matchPattern: { $case: 'exact', value: 'é' } }, 'x')
    expect(matches(Buffer.from('é').toString('latin1'))).toBe(true)
    expect(matches('é')).toBe(false)
  })

  it('compare text as it is', () => {
    expect(compileTextMatcher({ ignoreCase: true, matchPattern: { $case: 'prefix', value: 'é' } }, 'x')('éa')).toBe(true)
  })
})
