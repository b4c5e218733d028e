import { describe, expect, it } from 'vitest'
import { quantileOf } from './buckets.ts'
import { Stats } from './stats.ts'
import { StatsReader } from './stats-reader.ts'

describe('stats', () => {
  it('are merged over workers by name', () => {
    const reader = new StatsReader()
    const workers = [0, 1].map((i) => new Stats((message) => reader.accept(i, message)))
    workers.forEach((stats, i) => {
      stats.counter('a.total').add(i + 1)
      stats.gauge('a.active').set(5)
      for (let value = 1; value <= 100; value++) stats.histogram('a.time').record(value)
      stats.flush()
    })
    expect(reader.value('a.total')).toBe(3)
    expect(reader.value('a.active')).toBe(10)
    const time = [...reader.all()].find(({ name }) => name === 'a.time')
    expect(time).toMatchObject({ kind: 'histogram', count: 200, sum: 10_100 })
    if (time?.kind !== 'histogram') throw new Error('not a histogram')
    expect(quantileOf(time.buckets, 0.5)).toBeCloseTo(51, 0)
    expect(quantileOf(time.buckets, 0.99)).toBeCloseTo(100, -1)
  })

  it('may be words, which go with their scope', () => {
    const reader = new StatsReader()
    const stats = new Stats((message) => reader.accept(0, message))
    const scope = stats.scope('c.')
    const version = scope.text('c.version_text')
    expect(reader.texts().get('c.version_text')).toBe('')
    version.set('7')
    expect(stats.text('c.version_text')).toBe(version)
    expect(reader.texts().get('c.version_text')).toBe('7')
    scope.leave()
    version.set('8')
    expect(reader.texts().size).toBe(0)
  })

  it('are the same object for the same name, also when many chunks are needed', () => {
    const stats = new Stats(null)
    const first = stats.counter('n.0')
    for (let i = 0; i < 5000; i++) stats.counter(`n.${i}`).inc()
    expect(stats.counter('n.0')).toBe(first)
    expect(first.value).toBe(1)
  })

  it('of a scope go with the last that needs it, in every worker on its own, and come back from nothing', () => {
    const reader = new StatsReader()
    const workers = [0, 1].map((i) => new Stats((message) => reader.accept(i, message)))
    const [one, other] = workers
    if (one === undefined || other === undefined) throw new Error('two are needed')
    one.counter('kept').inc()
    const names = (): string[] => {
      for (const stats of workers) stats.flush()
      return [...reader.all()].map(({ name }) => name).sort()
    }
    const [first, second] = [one.scope('c.'), one.scope('c.')]
    first.counter('c.total').inc()
    second.histogram('c.time').record(1)
    second.histogram('c.never')
    const elsewhere = other.scope('c.')
    elsewhere.counter('c.total').add(10)
    expect(names()).toEqual(['c.time', 'c.total', 'kept'])
    first.leave()
    expect(reader.value('c.total')).toBe(11)
    const [late, never] = [second.counter('c.total'), second.histogram('c.never')]
    second.leave()
    expect(names()).toEqual(['c.total', 'kept'])
    expect(reader.value('c.total')).toBe(10)
    // Requests on their way count on, and nothing is born of it.
    late.inc()
    never.record(1)
    second.counter('c.late').inc()
    expect(names()).toEqual(['c.total', 'kept'])
    elsewhere.leave()
    expect(names()).toEqual(['kept'])
    const again = one.scope('c.')
    again.counter('c.total').inc()
    expect(names()).toEqual(['c.total', 'kept'])
    expect(reader.value('c.total')).toBe(1)
  })

  it('leave nothing behind, however many scopes have come and gone', () => {
    const reader = new StatsReader()
    const stats = new Stats((message) => reader.accept(0, message))
    for (let i = 0; i < 300; i++) {
      const scope = stats.scope(`c${i}.`)
      for (let j = 0; j < 100; j++) scope.counter(`c${i}.${j}`).inc()
      stats.flush()
      scope.leave()
    }
    expect(stats.size).toBe(0)
    expect([...reader.all()]).toEqual([])
  })
})
