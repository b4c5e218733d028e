import { afterEach, describe, expect, it, vi } from 'vitest'
import { TimerWheel } from '../../../transport/timer-wheel.ts'
import { PacedBody } from '../paced-body.ts'
import { SteadyPace } from './steady-pace.ts'

const timers = new TimerWheel()
afterEach(() => timers.close())

describe('a throttled body', () => {
  it('comes whole, in order, in portions and no faster than its rate', async () => {
    let sent = ''
    let ended = false
    const portions: number[] = []
    const began = performance.now()
    const throttle = new PacedBody(new SteadyPace(16 * 1000), timers, {
      send(data, endStream) {
        sent += data.toString('latin1')
        if (data.length > 0) portions.push(data.length)
        ended ||= endStream
      },
      pause: () => {},
      resume: () => {},
    })
    throttle.write(Buffer.from('a'.repeat(2000)), false)
    throttle.write(Buffer.from('b'.repeat(2000)), true)
    await vi.waitFor(() => expect(ended).toBe(true), { timeout: 5000 })
    expect(sent).toBe('a'.repeat(2000) + 'b'.repeat(2000))
    expect(performance.now() - began).toBeGreaterThan(180)
    expect(portions.length).toBeGreaterThan(2)
    throttle.close()
  })
})
