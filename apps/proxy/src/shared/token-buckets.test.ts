import { describe, expect, it } from 'vitest'
import { type BucketRate, TokenBuckets } from './token-buckets.ts'

const second = 1_000_000_000n
const tenASecond: BucketRate = { maxTokens: 3, perNanosecond: 10 / 1e9 }

describe('token buckets in shared memory', () => {
  it('begin full, run empty, and fill at their rate up to their size', () => {
    const bucket = new TokenBuckets(4).open('a', tenASecond)
    const start = 5n * second
    expect([1, 2, 3, 4].map(() => bucket.consume(start))).toEqual([true, true, true, false])
    expect(bucket.untilNext(start)).toBeCloseTo(1e8, -3)
    expect(bucket.consume(start + second / 10n)).toBe(true)
    expect(bucket.consume(start + second / 10n)).toBe(false)
    expect(bucket.remaining(start + 60n * second)).toBe(3)
  })

  it('are one for all views that name the same, and others for other names', () => {
    const first = new TokenBuckets(16)
    const second = new TokenBuckets(first.buffer)
    const [a, same, other] = [first.open('a', tenASecond), second.open('a', tenASecond), second.open('b', tenASecond)]
    const now = 10_000_000_000n
    for (let i = 0; i < 3; i++) expect((i % 2 === 0 ? a : same).consume(now)).toBe(true)
    expect(same.consume(now)).toBe(false)
    expect(other.consume(now)).toBe(true)
  })

  it('live as long as anyone has them, and begin full again after', () => {
    const buckets = new TokenBuckets(16)
    const now = 10_000_000_000n
    const a = buckets.open('a', tenASecond)
    const again = buckets.open('a', tenASecond)
    for (let i = 0; i < 3; i++) a.consume(now)
    a.release()
    a.release()
    expect(again.consume(now)).toBe(false)
    again.release()
    expect(buckets.open('a', tenASecond).consume(now)).toBe(true)
  })

  it('are of the asker alone when the memory is used up', () => {
    const buckets = new TokenBuckets(1)
    buckets.open('a', tenASecond)
    const b = buckets.open('b', tenASecond)
    const alsoB = buckets.open('b', tenASecond)
    for (let i = 0; i < 3; i++) b.consume()
    expect(b.consume()).toBe(false)
    expect(alsoB.consume()).toBe(true)
  })
})
