import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createDebounce } from './debounce.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('one change is pushed after the quiet time, several close together as one', () => {
  const run = vi.fn()
  const debounce = createDebounce(10, 100, run)
  debounce.touch()
  vi.advanceTimersByTime(6)
  debounce.touch()
  vi.advanceTimersByTime(9)
  expect(run).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(run).toHaveBeenCalledTimes(1)
})

test('a storm of changes is pushed all the same once the longest time is over', () => {
  const run = vi.fn()
  const debounce = createDebounce(10, 100, run)
  for (let elapsed = 0; elapsed < 100; elapsed += 5) {
    debounce.touch()
    vi.advanceTimersByTime(5)
  }
  expect(run).toHaveBeenCalledTimes(1)
})

test('after its end nothing is pushed any more', () => {
  const run = vi.fn()
  const debounce = createDebounce(10, 100, run)
  debounce.touch()
  debounce.close()
  vi.advanceTimersByTime(200)
  expect(run).not.toHaveBeenCalled()
})
