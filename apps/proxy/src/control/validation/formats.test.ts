import { describe, expect, it } from 'vitest'
import { headerForm } from './formats.ts'

describe('a header name', () => {
  it('is loosely anything without NUL, CR and LF, and may be empty: ClusterWeight.cluster_header is where name is used', () => {
    const loose = headerForm('name', false)
    for (const name of ['', 'x-a', 'x a', ':authority']) expect(loose(name)).toBeUndefined()
    for (const name of ['a\nb', 'a\rb', 'a\0b']) expect(loose(name)).toBe('is not a valid header name')
  })

  it('is strictly a token, with a colon in front for a pseudo header', () => {
    const strict = headerForm('name', true)
    for (const name of ['x-a', ':authority']) expect(strict(name)).toBeUndefined()
    for (const name of ['', 'x a', 'a:b']) expect(strict(name)).toBe('is not a valid header name')
  })
})
