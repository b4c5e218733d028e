import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { constants } from 'node:os'
import { endingSignals } from '@weft/service/ending-signals'

/** A process that a test or benchmark started, ended by its pid when the owner is done. */
export interface Running {
  readonly pid: number
  readonly child: ChildProcess
  /** What it has printed so far, both streams, the last 64 KiB. */
  output(): string
  /** Ends it: SIGTERM, then SIGKILL after `graceMs`. Resolves when it is gone. */
  stop(graceMs?: number): Promise<void>
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  // All are listed before the first is ended: a child of one that is gone is nobody's.
  const pids = [...running].flatMap(({ pid }) => (pid === undefined ? [] : [pid, ...descendantsOf(pid)]))
  for (const pid of pids) killIfThere(pid)
})

/** The exit code that shells give a program which a signal ended: 128 and the signal's number. */
export const exitCodeOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]

/** A signal would end this process without a word to its children: where nobody else listens, it exits instead. */
function exitOnSignals(): void {
  for (const signal of endingSignals) {
    if (process.listenerCount(signal) === 0) process.once(signal, () => process.exit(exitCodeOf(signal)))
  }
}

/** Starts a command whose output is kept, and which does not outlive this process, nor do those that it starts itself. */
export function start(command: readonly string[], options: SpawnOptions = {}): Running {
  const [file, ...args] = command
  if (file === undefined) throw new Error('no command given')
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let text = ''
  const keep = (chunk: Buffer): void => {
    text = (text + chunk.toString('utf8')).slice(-65_536)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  child.on('error', (error) => keep(Buffer.from(String(error))))
  if (running.size === 0) exitOnSignals()
  running.add(child)
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => {
      running.delete(child)
      resolve()
    })
    child.once('error', () => resolve())
  })
  return {
    pid: child.pid ?? -1,
    child,
    output: () => text,
    stop: async (graceMs = 3_000) => {
      child.kill('SIGTERM')
      const hard = setTimeout(() => child.kill('SIGKILL'), graceMs)
      await gone
      clearTimeout(hard)
    },
  }
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1)
  if (port === undefined) throw new Error('no port')
  return port
}

/** Ports of 127.0.0.1 that were free a moment ago, each another one. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const listening = servers.map(
    (server) => new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve)),
  )
  await Promise.all(listening)
  const addresses = servers.map((server) => server.address())
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return addresses.flatMap((address) => (address === null || typeof address === 'string' ? [] : [address.port]))
}

/** Waits until something accepts connections on the port; fails with the process's output when it ended before. */
export async function untilListening(port: number, owner: Running, host = '127.0.0.1', timeoutMs = 20_000): Promise<void> {
  await until(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(port, host)
        socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
        socket.once('connect', () => socket.destroy())
      }),
    `port ${port} to accept connections`,
    owner,
    timeoutMs,
  )
}

/** Polls a condition until it holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  owner?: Running,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (owner !== undefined && owner.child.exitCode !== null)
      throw new Error(`process ended while waiting for ${what}:\n${owner.output()}`)
    if (Date.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms for ${what}${owner === undefined ? '' : `:\n${owner.output()}`}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** CPU time of a process and its children in microseconds, user and system, all threads. */
export function cpuMicroseconds(pid: number): number {
  const ticks = (path: string): number => {
    const stat = readFileSync(path, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(fields[11]) + Number(fields[12])
  }
  let sum = ticks(`/proc/${pid}/stat`)
  for (const child of childrenOf(pid)) sum += cpuMicroseconds(child) / 10_000
  return sum * 10_000
}

/** Resident memory of a process and its children in MiB. */
export function residentMiB(pid: number): number {
  const own = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  return childrenOf(pid).reduce((sum, child) => sum + residentMiB(child), own)
}

function childrenOf(pid: number): number[] {
  const found: number[] = []
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const text = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
    found.push(...text.split(' ').filter(Boolean).map(Number))
  }
  return found
}

/** Children, their children and so on; none of a process that has just ended. */
function descendantsOf(pid: number): number[] {
  try {
    return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)])
  } catch {
    return []
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
