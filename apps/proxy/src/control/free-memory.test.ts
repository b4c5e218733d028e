import { expect, test, vi } from 'vitest'
import { keepMemoryTrimmed, trimMemory } from './free-memory.ts'

const mebibyte = 1024 * 1024

test('memory is given back when there has come more, and only then', () => {
  vi.useFakeTimers()
  try {
    let resident = 100 * mebibyte
    let trims = 0
    const release = (): void => {
      trims++
      resident -= 20 * mebibyte
    }
    const trimming = keepMemoryTrimmed(() => resident, release, 1_000)
    vi.advanceTimersByTime(1_000)
    expect(trims).toBe(1)
    resident += 7 * mebibyte
    vi.advanceTimersByTime(5_000)
    expect(trims).toBe(1)
    resident += 2 * mebibyte
    vi.advanceTimersByTime(1_000)
    expect(trims).toBe(2)
    resident += 100 * mebibyte
    trimming.close()
    vi.advanceTimersByTime(5_000)
    expect(trims).toBe(2)
  } finally {
    vi.useRealTimers()
  }
})

test('trimming is harmless wherever it runs', () => {
  trimMemory()
  trimMemory()
})
