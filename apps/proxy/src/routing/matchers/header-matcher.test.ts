import { HeaderMatcher } from '@weft/contracts/envoy/config/route/v3/route_components'
import { headerName } from '@weft/http/header-table'
import { RequestHead } from '@weft/http/message'
import { describe, expect, it } from 'vitest'
import { compileHeaderMatcher } from './header-matcher.ts'

function head(...values: string[]): RequestHead {
  const made = new RequestHead()
  made.method = 'GET'
  for (const value of values) made.headers.append(headerName('x-user'), value)
  return made
}

function exact(value: string, more: Partial<HeaderMatcher> = {}) {
  const matcher = HeaderMatcher.fromPartial({
    name: 'X-User',
    headerMatchSpecifier: { $case: 'stringMatch', value: { matchPattern: { $case: 'exact', value } } },
    ...more,
  })
  return compileHeaderMatcher(matcher, 'match')
}

describe('a header matcher', () => {
  it.each([
    ['one value', ['jo'], true],
    ['the value among others, wherever it stands', ['al', 'jo'], true],
    ['the value before others', ['jo', 'al'], true],
    ['others', ['al', 'bo'], false],
    ['the values in one line', ['al,jo'], false],
    ['no such header', [], false],
  ])('matches %s: %s', (_what, values, matched) => {
    expect(exact('jo')(head(...values))).toBe(matched)
  })

  it('does not match the values joined', () => {
    expect(exact('al,jo')(head('al', 'jo'))).toBe(false)
  })

  it('inverted, matches where none of the values does', () => {
    const inverted = exact('jo', { invertMatch: true })
    expect([head('al', 'bo'), head('al', 'jo'), head('jo'), head()].map(inverted)).toEqual([true, false, false, false])
  })

  it('takes an absent header for an empty one when it is told to', () => {
    expect(exact('', { treatMissingHeaderAsEmpty: true })(head())).toBe(true)
    expect(exact('jo', { treatMissingHeaderAsEmpty: true, invertMatch: true })(head())).toBe(true)
  })
})
