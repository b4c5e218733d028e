import { describe, expect, it } from 'vitest'
import { TimeLimits } from './time-limits.ts'

function limits(times: Partial<Pick<TimeLimits, 'wholeMs' | 'perTryMs' | 'idleMs' | 'streamMs'>>) {
  const watched: number[] = []
  const all = new TimeLimits({ watch: (atMs) => watched.push(atMs) })
  return { all: Object.assign(all, times), watched }
}

describe('time limits of a request on its way to its cluster', () => {
  it('begin with the whole request, and are looked at when they are over', () => {
    const { all, watched } = limits({ wholeMs: 100, perTryMs: 20 })
    all.begin(1000)
    expect(watched).toEqual([1100, 1020])
    expect(all.next).toBe(1020)
    expect(all.due(1019)).toBeNull()
    expect(all.due(1020)).toBe('upstream_per_try_timeout')
    expect(all.due(1020)).toBeNull()
    expect(all.due(1100)).toBe('response_timeout')
  })

  it('do not count a try whose request is not complete, but for its duration', () => {
    const { all } = limits({ perTryMs: 20, streamMs: 50 })
    all.beginTry(1000, false)
    expect(all.due(1049)).toBeNull()
    expect(all.due(1050)).toBe('upstream_max_stream_duration_reached')
  })

  it('let an answer that began take its time, and pause no longer than it may', () => {
    const { all } = limits({ perTryMs: 20, idleMs: 30 })
    all.begin(1000)
    all.answered()
    all.noteActivity(1010)
    expect(all.due(1039)).toBeNull()
    expect(all.due(1040)).toBe('upstream_per_try_idle_timeout')
  })

  it('of a try end with it, and the whole goes on', () => {
    const { all } = limits({ wholeMs: 100, perTryMs: 20, idleMs: 10, streamMs: 50 })
    all.begin(1000)
    all.noteActivity(1000)
    all.endTry()
    all.quiet()
    expect(all.next).toBe(1100)
    all.disarm()
    expect(all.next).toBe(Number.POSITIVE_INFINITY)
  })
})
