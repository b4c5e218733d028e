import { afterEach, describe, expect, it } from 'vitest'
import { ProcessState } from '../../../shared/process-state.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import { TimerWheel } from '../../../transport/timer-wheel.ts'
import { never, StreamDeadlines } from './stream-deadlines.ts'

let timers = new TimerWheel()
afterEach(() => {
  timers.close()
  timers = new TimerWheel()
})

const overload = new ProcessState()
const unlimited = { maxStreamMs: 0, requestMs: 0, requestHeadersMs: 0, streamIdleMs: 0 }

function begun(limits: Partial<typeof unlimited>): StreamDeadlines {
  const deadlines = new StreamDeadlines(timers, { ...unlimited, ...limits }, overload, () => {})
  deadlines.begin(1000)
  return deadlines
}

describe('deadlines of a request', () => {
  it('are never, where nothing is limited', () => {
    expect(begun({}).next).toBe(Number.POSITIVE_INFINITY)
    expect(begun({}).due(1e12)).toBeNull()
  })

  it.each([
    ['duration', { maxStreamMs: 10, streamIdleMs: 5 }, 'idle', 'duration'],
    ['request', { requestMs: 10, streamIdleMs: 5 }, 'idle', 'request'],
    ['head', { requestHeadersMs: 10, streamIdleMs: 5 }, 'idle', 'head'],
  ] as const)('tell %s before a pause, where both are over', (_name, limits, early, late) => {
    expect(begun(limits).due(1004)).toBeNull()
    expect(begun(limits).due(1005)).toBe(early)
    expect(begun(limits).due(1010)).toBe(late)
  })

  it('end with what they wait for', () => {
    const deadlines = begun({ requestMs: 10, requestHeadersMs: 5 })
    deadlines.headComplete()
    expect(deadlines.next).toBe(1010)
    deadlines.requestComplete()
    expect(deadlines.due(2000)).toBeNull()
  })

  it('are lifted by a route that sets none', () => {
    const deadlines = begun({ maxStreamMs: 10 })
    deadlines.limitStream(never)
    expect(deadlines.due(1e12)).toBeNull()
  })

  it('count a pause from the last byte on', () => {
    const deadlines = begun({ streamIdleMs: 5 })
    deadlines.lastActivityMs = 1004
    expect(deadlines.due(1008)).toBeNull()
    expect(deadlines.due(1009)).toBe('idle')
  })

  it('wait less for the next byte while resources are short', async () => {
    const state = new ProcessState()
    state.setFloor('stream-idle', { type: 'ms', ms: 5 })
    const limit = await new Promise((resolve) => {
      const deadlines = new StreamDeadlines(timers, { ...unlimited, streamIdleMs: 3_600_000 }, state, () => {
        state.setShare('reduce_timeouts', 1)
        resolve(deadlines.due(monotonicMs()))
      })
      deadlines.begin(monotonicMs())
      expect(deadlines.due(monotonicMs())).toBeNull()
    })
    expect(limit).toBe('idle')
  })

  it('have one timer, which looks as soon as the first of them is over', async () => {
    const limit = await new Promise((resolve) => {
      const deadlines = new StreamDeadlines(timers, { ...unlimited, maxStreamMs: 60_000, streamIdleMs: 30 }, overload, () =>
        resolve(deadlines.due(monotonicMs())),
      )
      deadlines.begin(monotonicMs())
    })
    expect(limit).toBe('idle')
  })
})
