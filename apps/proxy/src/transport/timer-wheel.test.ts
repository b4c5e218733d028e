import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { Timeout, TimerWheel } from './timer-wheel.ts'

/** A wheel whose clock the test turns. */
function wheel() {
  const clock = { now: 1000 }
  const timers = new TimerWheel(5, () => clock.now)
  return {
    timers,
    pass(ms: number) {
      clock.now += ms
      timers.turn()
    },
    close: () => timers.close(),
  }
}

describe('the timer wheel', () => {
  it('fires once, not before its time and at most one tick after', () => {
    const { timers, pass, close } = wheel()
    let fired = 0
    const timeout = new Timeout(() => fired++)
    timers.arm(timeout, 12)
    pass(11)
    expect(fired).toBe(0)
    pass(6)
    expect(fired).toBe(1)
    pass(100)
    expect(fired).toBe(1)
    expect(timeout.armed).toBe(false)
    close()
  })

  it('does not fire what was cancelled, and counts anew what was armed again', () => {
    const { timers, pass, close } = wheel()
    let fired = 0
    const timeout = new Timeout(() => fired++)
    timers.arm(timeout, 10)
    timers.cancel(timeout)
    pass(50)
    expect(fired).toBe(0)
    timers.arm(timeout, 10)
    timers.arm(timeout, 100)
    pass(50)
    expect(fired).toBe(0)
    pass(60)
    expect(fired).toBe(1)
    close()
  })

  it('keeps waits longer than its round, and catches up after a stall', () => {
    const { timers, pass, close } = wheel()
    const fired: string[] = []
    timers.arm(new Timeout(() => fired.push('long')), 5 * 1024 * 3)
    timers.arm(new Timeout(() => fired.push('short')), 20)
    pass(5 * 1024 * 2)
    expect(fired).toEqual(['short'])
    pass(5 * 1024 * 2)
    expect(fired).toEqual(['short', 'long'])
    close()
  })

  it('fires each of many in its tick, whatever callbacks arm and cancel', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 60 }),
        fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 40 }),
        (delays, steps) => {
          const { timers, pass, close } = wheel()
          let now = 0
          const firedAt = new Map<number, number>()
          delays.forEach((delay, i) => {
            timers.arm(new Timeout(() => firedAt.set(i, now)), delay)
          })
          for (const step of steps) {
            const before = now
            now += step
            pass(step)
            delays.forEach((delay, i) => {
              if (delay + 5 <= now) expect(firedAt.has(i)).toBe(true)
              if (firedAt.get(i) === now) expect(delay).toBeGreaterThanOrEqual(before - 10)
              if (firedAt.has(i)) expect(firedAt.get(i)!).toBeGreaterThanOrEqual(delay)
            })
          }
          close()
        },
      ),
    )
  })

  it('sleeps until something is due, and sees to the rest where a callback throws', () => {
    vi.useFakeTimers()
    try {
      const timers = new TimerWheel(5, () => Date.now())
      const start = Date.now()
      const fired: [string, number][] = []
      const note = (name: string) => () => fired.push([name, Date.now() - start])
      const cancelled = new Timeout(note('cancelled'))
      timers.arm(new Timeout(note('late')), 60_000)
      timers.arm(cancelled, 1_000)
      timers.arm(new Timeout(note('soon')), 40)
      timers.arm(
        new Timeout(() => {
          timers.arm(new Timeout(note('behind')), 500)
          throw new Error('thrown')
        }),
        200,
      )
      timers.cancel(cancelled)
      let wakes = 0
      for (; vi.getTimerCount() > 0 && wakes < 100; wakes++) {
        try {
          vi.advanceTimersToNextTimer()
        } catch (error) {
          expect(error).toEqual(new Error('thrown'))
        }
      }
      expect(fired.map(([name]) => name)).toEqual(['soon', 'behind', 'late'])
      for (const [i, due] of [40, 700, 60_000].entries()) {
        expect(fired[i]![1]).toBeGreaterThanOrEqual(due)
        expect(fired[i]![1]).toBeLessThanOrEqual(due + 10)
      }
      // One for each, and one a round of the wheel, of five seconds.
      expect(wakes).toBeLessThanOrEqual(4 + 12)
      timers.close()
    } finally {
      vi.useRealTimers()
    }
  })
})
