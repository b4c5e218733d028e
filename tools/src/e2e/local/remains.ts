import { readdirSync, readFileSync } from 'node:fs'

/** Processes that still run: those of the pids, and those whose command line names the mesh's state folder. */
export function processesOf(stateFolder: string, pids: readonly number[]): string[] {
  const found: string[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8')
      // A zombie is not running: it waits for its parent to look.
      if (stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z')) continue
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      if (pids.includes(Number(entry)) || command.includes(stateFolder)) found.push(`${entry} ${command.slice(0, 120)}`)
    } catch {
      // It ended while we looked.
    }
  }
  return found
}
