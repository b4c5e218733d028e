import { describe, expect, it } from 'vitest'
import { normalizePath } from './path-normalization.ts'

const path = (text: string, rules: Partial<Parameters<typeof normalizePath>[1]> = {}) => {
  const result = normalizePath(text, {
    normalize: true,
    mergeSlashes: false,
    escapedSlashes: 'keep',
    dotParameters: true,
    ...rules,
  })
  return result.type === 'path' ? result.path : result.type
}

describe('path normalisation', () => {
  it.each([
    ['/a/../b', '/b'],
    ['/a/./b', '/a/b'],
    ['/../a', '/a'],
    ['/a/..', '/'],
    ['/a/b/../../c?x=/../y', '/c?x=/../y'],
    ['/a/%2e%2E/b', '/b'],
    ['/%61dmin', '/admin'],
    ['/a\\..\\b', '/b'],
    ['/a%2fb', '/a%2fb'],
    ['/a//b', '/a//b'],
    ['/plain/path.html?q#f', '/plain/path.html?q#f'],
    ['/a/%00', 'reject'],
    ['/a/..;x=1/b', '/b'],
    ['/a/.;/b', '/a/b'],
    ['/a/...;/b', '/a/...;/b'],
    ['/a/%2e%2e;/b', '/a/..;/b'],
    ['/\xc3\xa9/../\xff?\xe9', '/%FF?\xe9'],
    ['/a"<>^`{|}', '/a%22%3C%3E%5E%60%7B%7C%7D'],
  ])('makes %s into %s', (from, to) => {
    expect(path(from)).toBe(to)
  })

  it('leaves dot segments with parameters where the runtime says so', () => {
    expect(path('/a/..;x=1/b', { dotParameters: false })).toBe('/a/..;x=1/b')
  })

  it('merges slashes, and treats escaped ones as told', () => {
    expect(path('/a///b//', { mergeSlashes: true })).toBe('/a/b/')
    expect(path('///?x//', { mergeSlashes: true })).toBe('//?x//')
    expect(path('/a%2Fb', { escapedSlashes: 'reject' })).toBe('reject')
    expect(path('/x%2f..%2fadmin', { escapedSlashes: 'forward' })).toBe('/admin')
    expect(path('/a%2fb', { escapedSlashes: 'redirect' })).toBe('redirect')
  })
})
