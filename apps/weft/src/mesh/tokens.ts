import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** A join token is good for a day and replaced twice as often, so that a process may start again at any time. */
export const tokenTtlSeconds = 24 * 3600
export const tokenRefreshMs = 12 * 3600 * 1000

/** Writes a file that holds a secret: its owner's alone, and never half written. */
export function writeSecretFile(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const fresh = `${file}.${process.pid}`
  writeFileSync(fresh, content, { mode: 0o600 })
  renameSync(fresh, file)
}
