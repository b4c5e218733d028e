import { createRequire } from 'node:module'
import type * as Koffi from 'koffi'

/** Growth of the resident memory from which on it is worth a look. */
const grownBytes = 8 * 1024 * 1024

let trim: (() => void) | undefined

/**
 * Gives the system the memory that the C library keeps though it is free: what V8's compilers and certificates have left, 20 MiB after
 * a minute of load (4 ms). Does nothing where the C library is another than GNU's, or without koffi.
 */
export function trimMemory(): void {
  trim ??= loadTrim()
  trim()
}

function loadTrim(): () => void {
  if (process.platform !== 'linux') return () => undefined
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
    const call = koffi.load(null).func('int malloc_trim(size_t)')
    return () => void call(0)
  } catch {
    return () => undefined
  }
}

/** Trims memory every now and then, if the process has grown since. */
export function keepMemoryTrimmed(
  residentBytes = (): number => process.memoryUsage.rss(),
  release = trimMemory,
  everyMs = 15_000,
): { close(): void } {
  let after = 0
  const timer = setInterval(() => {
    if (residentBytes() < after + grownBytes) return
    release()
    after = residentBytes()
  }, everyMs)
  timer.unref()
  return { close: () => clearInterval(timer) }
}
