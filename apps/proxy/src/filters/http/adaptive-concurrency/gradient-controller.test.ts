import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Stats } from '../../../observe/stats.ts'
import { TimerWheel } from '../../../transport/timer-wheel.ts'
import { GradientController, type GradientSettings } from './gradient-controller.ts'

afterEach(() => {
  vi.useRealTimers()
})

/** A controller under a clock of the test's; `serve` plays so many requests at once, which take so long each. */
function controllerOf(more: Partial<GradientSettings> = {}) {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  const settings: GradientSettings = {
    ...{ percentile: 0.5, maxLimit: 100, minLimit: 3, updateMs: 100, idleIntervalMs: 60_000, fixedMs: 0 },
    ...{ idleRequests: 5, jitter: 0, idleConcurrency: 3, buffer: 0.25, ...more },
  }
  const stats = new Stats(null)
  const gauges = ['limit', 'gradient', 'headroom', 'isMeasuring', 'idleMs', 'sampleMs'] as const
  const told = Object.fromEntries(gauges.map((name) => [name, stats.gauge(name)])) as Record<(typeof gauges)[number], never>
  const timers = new TimerWheel(5, () => performance.now())
  const controller = new GradientController(settings, { ...told, blocked: stats.counter('blocked') }, timers, () => 0)
  onTestFinished(() => {
    timers.close()
    controller.close()
  })
  const serve = (count: number, tookMs: number): number => {
    const began = performance.now()
    let entered = 0
    for (let i = 0; i < count; i++) if (controller.enter()) entered++
    vi.advanceTimersByTime(tookMs)
    for (let i = 0; i < entered; i++) controller.answered(began)
    return entered
  }
  return { controller, serve, gauge: (name: string) => stats.gauge(name).value, blocked: () => stats.counter('blocked').value }
}

describe('a gradient controller', () => {
  it('begins by measuring, with few requests at once', () => {
    const { serve, gauge, blocked } = controllerOf()
    expect(gauge('isMeasuring')).toBe(1)
    expect(serve(4, 10)).toBe(3)
    expect(blocked()).toBe(1)
    serve(3, 10)
    expect([gauge('isMeasuring'), gauge('idleMs')]).toEqual([0, 10])
  })

  it('lets more in as long as latencies stay, up to its limit, and fewer when they grow', () => {
    const { controller, serve } = controllerOf()
    for (let i = 0; i < 2; i++) serve(3, 10)
    for (let i = 0; i < 40; i++) {
      serve(100, 10)
      vi.advanceTimersByTime(200)
    }
    expect(controller.limit).toBe(100)
    for (let i = 0; i < 6; i++) {
      serve(100, 100)
      vi.advanceTimersByTime(200)
    }
    expect(controller.limit).toBeLessThan(15)
  })

  it('measures again when its time has come', () => {
    const { serve, gauge } = controllerOf({ idleIntervalMs: 1000 })
    for (let i = 0; i < 2; i++) serve(3, 10)
    expect(gauge('isMeasuring')).toBe(0)
    vi.advanceTimersByTime(1010)
    expect(gauge('isMeasuring')).toBe(1)
  })

  it('measures again when the limit stays at the least there may be', () => {
    const { serve, gauge } = controllerOf()
    for (let i = 0; i < 2; i++) serve(3, 10)
    for (let i = 0; i < 12 && gauge('isMeasuring') === 0; i++) {
      serve(3, 1000)
      vi.advanceTimersByTime(200)
    }
    expect(gauge('isMeasuring')).toBe(1)
  })

  it('takes a latency that is fixed for idle', () => {
    const { controller, gauge, serve } = controllerOf({ idleIntervalMs: null, fixedMs: 10 })
    expect([gauge('isMeasuring'), gauge('idleMs')]).toEqual([-0, 10])
    serve(3, 10)
    vi.advanceTimersByTime(200)
    expect(controller.limit).toBeGreaterThan(3)
  })

  it('forgets those that were given up', () => {
    const { controller } = controllerOf()
    for (let i = 0; i < 3; i++) controller.enter()
    expect(controller.enter()).toBe(false)
    controller.left()
    expect(controller.enter()).toBe(true)
  })
})
