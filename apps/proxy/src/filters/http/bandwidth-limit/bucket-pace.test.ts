import { describe, expect, it, onTestFinished } from 'vitest'
import { TokenBuckets } from '../../../shared/token-buckets.ts'
import { until } from '../../../testing/worker-harness.ts'
import { TimerWheel } from '../../../transport/timer-wheel.ts'
import { PacedBody } from '../paced-body.ts'
import { BucketPace } from './bucket-pace.ts'

const timers = new TimerWheel()

/** A body whose bucket holds and gets so many tokens (a second), and what came of it. */
function bodyOf(tokens: number) {
  const bucket = new TokenBuckets(1).open('x', { maxTokens: tokens, perNanosecond: tokens / 1e9 })
  const seen = { sent: '', ended: false, paused: 0, resumed: 0, waits: 0 }
  const body = new PacedBody(new BucketPace(bucket, 5), timers, {
    send: (data, endStream) => {
      seen.sent += data.toString('latin1')
      seen.ended ||= endStream
    },
    pause: () => seen.paused++,
    resume: () => seen.resumed++,
    went: (_bytes, waiting) => (seen.waits += waiting ? 1 : 0),
  })
  onTestFinished(() => body.close())
  return { body, seen }
}

describe('a paced body', () => {
  it('goes on at once as far as there are tokens, and the rest as they come', async () => {
    const { body, seen } = bodyOf(1000)
    body.write(Buffer.alloc(1100, 'a'), true)
    expect(seen.sent.length).toBeGreaterThanOrEqual(1000)
    expect(seen).toMatchObject({ ended: false, waits: 1 })
    await until(() => seen.ended, 'its end')
    expect(seen.sent).toBe('a'.repeat(1100))
  })

  it('keeps its pieces in order', async () => {
    const { body, seen } = bodyOf(500)
    const text = Array.from({ length: 60 }, (_, i) => `piece ${i};`)
    for (const [i, piece] of text.entries()) body.write(Buffer.from(piece), i === text.length - 1)
    await until(() => seen.ended, 'its end')
    expect(seen.sent).toBe(text.join(''))
  })

  it('asks the sender to wait when too much does', async () => {
    const { body, seen } = bodyOf(2_000_000)
    for (let i = 0; i < 5; i++) body.write(Buffer.alloc(1_000_000), false)
    expect(seen).toMatchObject({ paused: 1, resumed: 0 })
    await until(() => seen.resumed === 1, 'it to go on')
  })

  it('has trailers wait for what is before them', async () => {
    const { body, seen } = bodyOf(1000)
    expect(body.endWith(() => {})).toBe(false)
    body.write(Buffer.alloc(1050), false)
    let went = false
    expect(body.endWith(() => (went = true))).toBe(true)
    await until(() => went, 'the trailers')
    expect(seen).toMatchObject({ ended: false })
    expect(seen.sent.length).toBe(1050)
  })
})
