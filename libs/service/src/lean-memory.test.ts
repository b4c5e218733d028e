import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { collectGarbage, leanMemory } from './lean-memory.ts'

describe('the environment of a lean process', () => {
  test('adds to what is there', () => {
    const options = '--enable-source-maps --max-semi-space-size=2'
    expect(leanMemory({ NODE_OPTIONS: '--enable-source-maps' })).toEqual({ MALLOC_ARENA_MAX: '1', NODE_OPTIONS: options })
  })

  test('leaves what somebody chose', () => {
    const chosen = { MALLOC_ARENA_MAX: '4', NODE_OPTIONS: '--max-semi-space-size=32' }
    expect(leanMemory(chosen)).toEqual(chosen)
  })
})

describe.skipIf(process.platform !== 'linux')('a process that restarts', () => {
  let folder = ''
  let file = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'weft-lean-'))
    file = join(folder, 'main.mjs')
    const told = '{ pid: process.pid, begins: process.argv.slice(2), flags: process.execArgv, options: process.env.NODE_OPTIONS }'
    const module = new URL('lean-memory.ts', import.meta.url).href
    writeFileSync(
      file,
      `import { restartLean } from ${JSON.stringify(module)}\nconsole.log(process.pid)\nrestartLean()\nconsole.log(JSON.stringify(${told}))\n`,
    )
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const run = (environment: Record<string, string>): string[] => {
    const { MALLOC_ARENA_MAX: _arenas, NODE_OPTIONS: _options, ...env } = process.env
    const words = ['--no-warnings', file, '-c', 'a b']
    return execFileSync(process.execPath, words, { env: { ...env, ...environment }, encoding: 'utf8' })
      .trim()
      .split('\n')
  }

  test('is the same process with the same arguments, once more', () => {
    const lines = run({})
    expect(lines).toHaveLength(3)
    const told = { begins: ['-c', 'a b'], flags: ['--no-warnings', '--single-threaded-gc'], options: '--max-semi-space-size=2' }
    expect(JSON.parse(lines[2] ?? '')).toEqual({ pid: Number(lines[0]), ...told })
    expect(lines[1]).toBe(lines[0])
  })

  test('goes on where it was started lean', () => {
    expect(run({ MALLOC_ARENA_MAX: '2' })).toHaveLength(2)
  })
})

test.each([false, true])('garbage is collected at once (thoroughly: %s)', (thoroughly) => {
  const heap = (): number => process.memoryUsage().heapUsed
  let kept: unknown[] = Array.from({ length: 1_000_000 }, (_, i) => [i])
  const before = heap()
  expect(kept.length).toBe(1_000_000)
  kept = []
  collectGarbage(thoroughly)
  expect(heap()).toBeLessThan(before - 16 * 1024 * 1024)
  expect(kept).toEqual([])
})

test('machine code is made of what runs often after the start, and not before', () => {
  const code = `
    import { getHeapSpaceStatistics } from 'node:v8'
    import { serveLean, startLean } from ${JSON.stringify(new URL('lean-memory.ts', import.meta.url).href)}
    const codeBytes = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === 'code_space').space_used_size
    const grownBy = (seed) => {
      const before = codeBytes()
      for (let one = 0; one < 200; one++) {
        const often = new Function('n', 'return ' + Array.from({ length: 20 }, (_, i) => 'n * ' + (seed + one + i)).join(' + '))
        for (let times = 0; times < 300; times++) often(times)
      }
      return codeBytes() - before
    }
    startLean()
    const start = grownBy(1_000)
    serveLean()
    console.log(JSON.stringify({ start, served: grownBy(2_000) }))`
  const told = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  const { start, served } = JSON.parse(told) as { start: number; served: number }
  expect(served).toBeGreaterThan(100_000)
  expect(start).toBeLessThan(served / 4)
})
