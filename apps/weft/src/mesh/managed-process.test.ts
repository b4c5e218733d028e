import { spawn } from 'node:child_process'
import { writeSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ManagedProcess, type ProcessEvents, type ProcessSpec, signalGroup } from './managed-process.ts'
import { processStartedAt } from './state.ts'
import { Watchdog } from './watchdog.ts'

let folder: string
let port: number
let watchdog: Watchdog
const processes: ManagedProcess[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-process-'))
  port = await unusedPort()
  watchdog = new Watchdog()
})
afterEach(async () => {
  await Promise.all(processes.splice(0).map((managed) => managed.stop()))
  await watchdog.close()
  await rm(folder, { recursive: true, force: true })
})

function unusedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/** A program that listens, says its pid, and has a child of its own that lives as long as it is let. */
const program = (more = ''): string => `
const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
require('node:http').createServer((_, response) => response.end('ok')).listen(${port}, '127.0.0.1', () => console.log('child', child.pid))
${more}`

function managed(script: string, events: ProcessEvents = {}, more: Partial<ProcessSpec> = {}): ManagedProcess {
  const made = new ManagedProcess(
    {
      name: 'web',
      kind: 'application',
      command: process.execPath,
      args: ['-e', script],
      env: process.env,
      cwd: folder,
      logFile: join(folder, 'web.log'),
      readiness: { type: 'http', host: '127.0.0.1', port, path: '/' },
      stopMs: 2_000,
      ...more,
    },
    watchdog,
    events,
  )
  processes.push(made)
  return made
}

const isGone = (pid: number): boolean => processStartedAt(pid) === ''
const childPid = async (): Promise<number> =>
  vi.waitFor(async () => {
    const said = /child (\d+)\n$/.exec(await readFile(join(folder, 'web.log'), 'utf8'))
    if (said === null) throw new Error('not said yet')
    return Number(said[1])
  })

describe('a managed process', () => {
  it('is ready when its probe is answered, and stops with its children', async () => {
    const web = managed(program())
    web.start()
    expect(await web.ready(10_000)).toBe(true)
    const pids = [web.pid ?? 0, await childPid()]
    expect(pids.every((pid) => !isGone(pid))).toBe(true)
    await web.stop()
    await vi.waitFor(() => expect(pids.every(isGone)).toBe(true))
    expect(web.state).toBe('stopped')
  })

  it('starts again after kill -9, and its children do not stay', async () => {
    const states: string[] = []
    const web = managed(program(), { changed: ({ state }) => states.push(state) })
    web.start()
    await web.ready(10_000)
    const [pid, child] = [web.pid ?? 0, await childPid()]
    process.kill(pid, 'SIGKILL')
    await vi.waitFor(() => expect(states).toContain('waiting'))
    await vi.waitFor(() => expect(web.state).toBe('ready'), { timeout: 10_000 })
    expect(web.restarts).toBe(1)
    expect(web.pid).not.toBe(pid)
    await vi.waitFor(() => expect(isGone(child)).toBe(true))
  })

  it('tells how it ended and what it said, and waits longer each time', async () => {
    const crashes: { reason: string; said: string | undefined; atMs: number }[] = []
    const web = managed('console.error("no database"); process.exit(3)', {
      crashed: (_, reason, lines) => crashes.push({ reason, said: lines.at(-1), atMs: performance.now() }),
    })
    web.start()
    await vi.waitFor(() => expect(crashes.length).toBeGreaterThanOrEqual(4), { timeout: 10_000 })
    expect(crashes[0]).toMatchObject({ reason: 'ended with exit code 3', said: 'no database' })
    const gaps = crashes.slice(1).map((crash, index) => crash.atMs - crashes[index]!.atMs)
    expect(gaps[2]).toBeGreaterThan(390)
    expect(await web.ready(1)).toBe(false)
  })

  it('tells of a program that does not exist', async () => {
    const crashed = vi.fn()
    managed('', { crashed }, { command: 'no-such-program-anywhere' }).start()
    await vi.waitFor(() => expect(crashed).toHaveBeenCalled())
    expect(crashed.mock.calls[0]?.[1]).toContain('ENOENT')
  })

  it('is ended by force when it does not listen to SIGTERM', async () => {
    const web = managed(program('process.on("SIGTERM", () => {})'), {}, { stopMs: 100 })
    web.start()
    await web.ready(10_000)
    const pid = web.pid ?? 0
    await web.stop()
    expect(isGone(pid)).toBe(true)
  })

  it('keeps a bounded log', async () => {
    const { LogFile } = await import('./log-file.ts')
    const path = join(folder, 'big.log')
    const log = new LogFile(path, 1000)
    writeSync(log.begin(), 'x'.repeat(1200))
    writeSync(log.begin(), 'what came later')
    expect(await readFile(path, 'utf8')).toBe('what came later')
    expect(await readFile(`${path}.1`, 'utf8')).toBe('x'.repeat(1200))
    log.close()
  })

  it('gives the program an output that it may open by name', async () => {
    const web = managed(program("require('node:fs').writeFileSync('/dev/stdout', 'opened by name\\n', { flag: 'a' })"))
    web.start()
    await web.ready(10_000)
    expect(await readFile(join(folder, 'web.log'), 'utf8')).toContain('opened by name')
  })
})

describe('the watchdog', () => {
  it('ends the processes of a supervisor that was killed', async () => {
    const file = join(folder, 'supervisor.ts')
    const from = (name: string): string => JSON.stringify(join(import.meta.dirname, name))
    await writeFile(
      file,
      `import { ManagedProcess } from ${from('managed-process.ts')}
import { Watchdog } from ${from('watchdog.ts')}
const web = new ManagedProcess({ name: 'web', kind: 'application', command: process.execPath, args: ['-e', ${JSON.stringify(program())}],
  env: process.env, cwd: '.', logFile: ${JSON.stringify(join(folder, 'web.log'))}, stopMs: 1000,
  readiness: { type: 'http', host: '127.0.0.1', port: ${port}, path: '/' } }, new Watchdog())
web.start()
await web.ready(10_000)
console.log(web.pid)
`,
    )
    const supervisor = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] })
    const web = await new Promise<number>((resolve) => supervisor.stdout.once('data', (pid: Buffer) => resolve(Number(pid))))
    const pids = [web, await childPid()]
    expect(pids.every((pid) => !isGone(pid))).toBe(true)
    supervisor.kill('SIGKILL')
    await vi.waitFor(() => expect(pids.every(isGone)).toBe(true), { timeout: 10_000 })
    signalGroup(web, 'SIGKILL')
  })
})
