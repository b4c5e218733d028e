import { execFileSync } from 'node:child_process'
import { findPackageJSON } from 'node:module'
import { descriptors } from '@weft/contracts/descriptors'
import { describe, expect, test, vi } from 'vitest'
import { keepMemoryTrimmed, trimMemory, unchangedMappings } from './free-memory.ts'

const mebibyte = 1024 * 1024

test('memory is given back when the start is over, when there has come more, and only then', () => {
  vi.useFakeTimers()
  try {
    let ownBytes = 100 * mebibyte
    let fileBytes = 50 * mebibyte
    let trims = 0
    const release = (): void => {
      trims++
      ownBytes -= 20 * mebibyte
      fileBytes = 0
    }
    const trimming = keepMemoryTrimmed(() => ({ ownBytes, fileBytes }), release, 1_000)
    expect(trims).toBe(0)
    vi.advanceTimersByTime(1_000)
    expect(trims).toBe(1)
    ownBytes += 7 * mebibyte
    fileBytes += 3 * mebibyte
    vi.advanceTimersByTime(12_000)
    expect(trims).toBe(1)
    ownBytes += 2 * mebibyte
    vi.advanceTimersByTime(1_000)
    expect(trims).toBe(2)
    fileBytes += 5 * mebibyte
    vi.advanceTimersByTime(1_000)
    expect(trims).toBe(3)
    ownBytes += 100 * mebibyte
    trimming.close()
    vi.advanceTimersByTime(12_000)
    expect(trims).toBe(3)
  } finally {
    vi.useRealTimers()
  }
})

test('descriptors that nobody asks for are let go of', () => {
  vi.useFakeTimers()
  try {
    const made = (): unknown => descriptors().getMessage('envoy.config.cluster.v3.Cluster')
    const first = made()
    const trimming = keepMemoryTrimmed(
      () => ({ ownBytes: 0, fileBytes: 0 }),
      () => undefined,
      1_000,
    )
    vi.advanceTimersByTime(9_000)
    expect(made()).toBe(first)
    vi.advanceTimersByTime(11_000)
    trimming.close()
    expect(made()).not.toBe(first)
  } finally {
    vi.useRealTimers()
  }
})

test('trimming is harmless wherever it runs', () => {
  trimMemory()
  trimMemory()
})

const canCall = process.platform === 'linux' && findPackageJSON('koffi', import.meta.url) !== undefined

test.skipIf(!canCall)('pages of the binary that are not in use are no longer held (needs Linux and koffi)', () => {
  // A process of its own: what runs beside a test in its process would touch pages again.
  const code = `
    const { trimMemory } = await import(${JSON.stringify(new URL('free-memory.ts', import.meta.url).href)})
    const { readFileSync } = await import('node:fs')
    const filePagesKiB = () => Number(/RssFile:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1])
    const before = filePagesKiB()
    trimMemory()
    const after = filePagesKiB()
    for (let round = 0; round < 3; round++) trimMemory()
    console.log(JSON.stringify({ before, after, works: new Intl.NumberFormat('de').format(1234.5) }))`
  const told = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  const { before, after, works } = JSON.parse(told) as { before: number; after: number; works: string }
  expect(after).toBeLessThan(before / 2)
  expect(works).toBe('1.234,5')
})

describe('mappings that are nothing but the file', () => {
  const node = '/opt/node v24/bin/node'
  const mapping = (range: string, flags: string, anonymousKiB: number, path = node): string =>
    `${range} ${flags} 0034a000 fe:00 11536376 ${path.padStart(40)}\nSize:  4 kB\nRss:  4 kB\nAnonymous: ${String(anonymousKiB).padStart(12)} kB\nVmFlags: rd ex mr\n`
  const found = (...mappings: string[]) => unchangedMappings(mappings.join(''), (file) => file === node)

  test('are code and constants', () => {
    const places = [
      { start: 0x400000, bytes: 0x346000 },
      { start: 0x7f1d5a1c0000, bytes: 0x205000 },
    ]
    expect(found(mapping('00400000-00746000', 'r--p', 0), mapping('7f1d5a1c0000-7f1d5a3c5000', 'r-xp', 0))).toEqual(places)
  })

  const others: [string, string][] = [
    ['what the loader wrote to', mapping('00400000-00746000', 'r--p', 4)],
    ['what may be written', mapping('00400000-00746000', 'rw-p', 0)],
    ['what is shared', mapping('00400000-00746000', 'r--s', 0)],
    ['another file', mapping('00400000-00746000', 'r-xp', 0, '/usr/lib/libc.so.6')],
    ['memory without a file', mapping('00400000-00746000', 'r-xp', 0, '')],
  ]
  test.each(others)('are not %s', (_what, text) => expect(found(text)).toEqual([]))
})
