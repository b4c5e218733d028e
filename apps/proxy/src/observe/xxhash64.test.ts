import { describe, expect, it } from 'vitest'
import { xxHash64 } from './xxhash64.ts'

describe('xxHash64', () => {
  it.each([
    ['', 17241709254077376921n],
    ['1', 13237225503670494420n],
    ['abc', 4952883123889572249n],
    ['Nobody inspects the spammish repetition', 18144624926692707313n],
    ['x'.repeat(100), 10588207204368892052n],
  ])('of %j is that of the reference', (text, hash) => {
    expect(xxHash64(Buffer.from(text))).toBe(hash)
  })
})
