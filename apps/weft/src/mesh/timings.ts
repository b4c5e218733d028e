import { table } from '../terminal.ts'
import type { ManagedProcess } from './managed-process.ts'

/** Phases of the supervisor's own start: each ends where the next begins. */
export class Phases {
  readonly #marks: { name: string; atMs: number }[] = []

  /** Notes that a phase has ended. */
  end(name: string): void {
    this.#marks.push({ name, atMs: performance.now() })
  }

  /** Name, length and end of each phase, in seconds since the process began. */
  rows(): string[][] {
    let before = 0
    return this.#marks.map(({ name, atMs }) => {
      const row = [name, seconds(atMs - before), seconds(atMs)]
      before = atMs
      return row
    })
  }
}

/** Where the start-up time went: the supervisor's phases, and for each process when it was started and ready. */
export function timingsReport(phases: Phases, processes: readonly ManagedProcess[]): string {
  const rows = processes
    .map(({ spec, times }) => ({ spec, times, ready: times.readyAtMs ?? Number.POSITIVE_INFINITY }))
    .sort((one, other) => one.ready - other.ready)
    .map(({ spec, times }) => [
      spec.name,
      seconds(times.spawnedAtMs),
      times.readyAtMs === undefined ? '–' : seconds(times.readyAtMs),
      times.readyAtMs === undefined ? '–' : seconds(times.readyAtMs - times.spawnedAtMs),
      seconds(times.cpuMs),
    ])
  const cpuMs = processes.reduce((sum, { times }) => sum + times.cpuMs, 0)
  rows.push(['all', '', '', '', seconds(cpuMs)])
  return `${table(['phase', 'took s', 'ended at s'], phases.rows())}\n\n${table(['process', 'started at s', 'ready at s', 'took s', 'CPU s'], rows)}`
}

export const seconds = (ms: number): string => (ms / 1000).toFixed(2)
