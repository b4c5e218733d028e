import { expect, it } from 'vitest'
import { renewalDelayMs, retryDelayMs, rotationDelayMs } from './rotation.ts'

const now = new Date('2026-01-01T00:00:00Z')
const after = (ms: number): Date => new Date(now.getTime() + ms)
const hour = 3_600_000

it('renewal falls between 60 and 80 % of the life', () => {
  expect(renewalDelayMs(now, after(hour), now, () => 0)).toBeCloseTo(0.8 * hour, 3)
  expect(renewalDelayMs(now, after(hour), now, () => 1)).toBeCloseTo(0.6 * hour, 3)
  for (let index = 0; index < 1_000; index += 1) {
    const delay = renewalDelayMs(now, after(hour), now)
    expect(delay).toBeGreaterThanOrEqual(0.6 * hour - 1)
    expect(delay).toBeLessThanOrEqual(0.8 * hour + 1)
  }
})

it('renewal is due at once when its time is past, and waits no longer than a timer can', () => {
  expect(renewalDelayMs(now, after(hour), after(hour), () => 0.5)).toBe(0)
  expect(renewalDelayMs(now, after(hour), after(5 * hour), () => 0.5)).toBe(0)
  expect(renewalDelayMs(now, after(90 * 24 * hour), now)).toBe(2 ** 31 - 1)
})

it('jitter never rotates after the end or before now', () => {
  for (const random of [0, 0.5, 1]) {
    const delay = rotationDelayMs(now, after(hour), now, 0.5, 5, () => random)
    expect(delay).toBeGreaterThanOrEqual(0)
    expect(delay).toBeLessThanOrEqual(hour)
  }
})

it('retries wait longer each time, at a random point of the upper half, up to a limit', () => {
  expect([0, 1, 2, 3, 10, 1_000].map((attempt) => retryDelayMs(attempt, 100, 5_000, () => 1))).toEqual([
    100, 200, 400, 800, 5_000, 5_000,
  ])
  expect(retryDelayMs(0, 100, 5_000, () => 0)).toBe(50)
})
