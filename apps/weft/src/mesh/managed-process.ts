import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { LogFile } from './log-file.ts'
import { isReady, type ReadinessProbe } from './readiness.ts'
import { processCpuMs } from './state.ts'
import type { Watchdog } from './watchdog.ts'

type ProcessKind = 'citadel' | 'pilot' | 'mixer' | 'gateway' | 'sidecar' | 'application'

export interface ProcessSpec {
  /** Unique in the mesh; also the name of its log. */
  name: string
  kind: ProcessKind
  command: string
  args: readonly string[]
  env: Readonly<Record<string, string | undefined>>
  cwd: string
  logFile: string
  readiness: ReadinessProbe
  /** Time between SIGTERM and SIGKILL. */
  stopMs: number
}

/** What a process is doing. `waiting`: it ended by itself and is started again after a pause. */
export type ProcessState = 'starting' | 'ready' | 'waiting' | 'stopping' | 'stopped'

export interface ProcessTimes {
  /** Milliseconds on the supervisor's clock (performance.now()). */
  spawnedAtMs: number
  readyAtMs: number | undefined
  /** CPU time it had used when it was ready. */
  cpuMs: number
}

export interface ProcessEvents {
  /** Any change of state. */
  changed?: (process: ManagedProcess) => void
  /** It ended without being asked to; `reason` says how, `lastLines` what it said. */
  crashed?: (process: ManagedProcess, reason: string, lastLines: readonly string[]) => void
}

const firstPauseMs = 100
const longestPauseMs = 5_000
/** A process that ran this long starts again after the first pause. */
const settledMs = 10_000
const probeEveryMs = 80

/**
 * One process of the mesh: started in its own process group, watched until it is ready, started again with growing
 * pauses when it ends by itself, its output kept in a bounded log, and ended with all its children.
 */
export class ManagedProcess {
  readonly spec: ProcessSpec
  readonly times: ProcessTimes = { spawnedAtMs: 0, readyAtMs: undefined, cpuMs: 0 }
  state: ProcessState = 'stopped'
  restarts = 0
  readonly #watchdog: Watchdog
  readonly #events: ProcessEvents
  readonly #log: LogFile
  readonly #stopping = new AbortController()
  #child: ChildProcess | undefined
  #pauseMs = firstPauseMs
  #exited: Promise<void> = Promise.resolve()
  #readyWaiters: (() => void)[] = []

  constructor(spec: ProcessSpec, watchdog: Watchdog, events: ProcessEvents = {}) {
    this.spec = spec
    this.#watchdog = watchdog
    this.#events = events
    this.#log = new LogFile(spec.logFile)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts it; it is then kept running until `stop`. */
  start(): void {
    if (this.#stopping.signal.aborted || this.#child !== undefined) return
    this.times.spawnedAtMs = performance.now()
    this.times.readyAtMs = undefined
    const { command, args, env, cwd } = this.spec
    const output = this.#log.begin()
    const child = spawn(command, [...args], { cwd, env: { ...env }, detached: true, stdio: ['ignore', output, output] })
    this.#child = child
    if (child.pid !== undefined) this.#watchdog.add(child.pid)
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => {
        // A program that cannot be started has no exit.
        if (child.pid === undefined) resolve(this.#ended(child, error.message))
      })
      child.once('exit', (code, signal) => {
        // What is left of its group would hold its ports.
        signalGroup(child.pid, 'SIGKILL')
        resolve(this.#ended(child, signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`))
      })
    })
    this.#set('starting')
    void this.#awaitReady(child)
  }

  /** Resolves when it is ready, or false after `timeoutMs`. */
  async ready(timeoutMs: number): Promise<boolean> {
    if (this.state === 'ready') return true
    const timer = new AbortController()
    const became = new Promise<boolean>((resolve) => this.#readyWaiters.push(() => resolve(true)))
    const late = delay(timeoutMs, false, { signal: timer.signal }).catch(() => false)
    const ready = await Promise.race([became, late])
    timer.abort()
    return ready
  }

  /** Asks it to end and waits; after `stopMs` it is ended by force, with its whole group. */
  async stop(): Promise<void> {
    if (this.state === 'stopped' && this.#stopping.signal.aborted) return
    this.#stopping.abort()
    const child = this.#child
    if (child !== undefined) {
      this.#set('stopping')
      signalGroup(child.pid, 'SIGTERM')
      const force = setTimeout(() => signalGroup(child.pid, 'SIGKILL'), this.spec.stopMs)
      await this.#exited
      clearTimeout(force)
    }
    this.#set('stopped')
    this.#log.close()
  }

  #set(state: ProcessState): void {
    if (this.state === state) return
    this.state = state
    this.#events.changed?.(this)
  }

  async #awaitReady(child: ChildProcess): Promise<void> {
    while (this.#child === child && !this.#stopping.signal.aborted) {
      if (await isReady(this.spec.readiness)) {
        // Another program may answer at that address while ours has failed to take it.
        if (this.#child !== child || child.exitCode !== null || this.#stopping.signal.aborted) return
        this.times.readyAtMs = performance.now()
        this.times.cpuMs = processCpuMs(child.pid ?? 0)
        this.#set('ready')
        for (const waiter of this.#readyWaiters.splice(0)) waiter()
        return
      }
      await delay(probeEveryMs)
    }
  }

  #ended(child: ChildProcess, reason: string): void {
    if (child.pid !== undefined) this.#watchdog.remove(child.pid)
    this.#child = undefined
    if (this.#stopping.signal.aborted) return
    if (performance.now() - this.times.spawnedAtMs > settledMs) this.#pauseMs = firstPauseMs
    const pauseMs = this.#pauseMs
    this.#pauseMs = Math.min(pauseMs * 2, longestPauseMs)
    this.restarts += 1
    this.#set('waiting')
    this.#events.crashed?.(this, reason, this.#log.lastLines())
    delay(pauseMs, undefined, { signal: this.#stopping.signal }).then(
      () => this.start(),
      () => {},
    )
  }
}

/** Signals a process group; one that is gone already is no error. */
export function signalGroup(group: number | undefined, signal: NodeJS.Signals): void {
  if (group === undefined) return
  try {
    process.kill(-group, signal)
  } catch {
    // ESRCH: nothing is left of it.
  }
}
