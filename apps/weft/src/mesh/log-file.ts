import { closeSync, copyFileSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'

const checkEveryMs = 2_000
const rememberedLines = 20
const rememberedBytes = 8192

/**
 * A process's log. The process itself appends to it, by the file handle it is given as its output; we look at its size from
 * time to time, and when it is full it becomes `<file>.1` and begins anew.
 */
export class LogFile {
  readonly path: string
  readonly #mostBytes: number
  readonly #handle: number
  readonly #timer: NodeJS.Timeout
  #start = 0

  constructor(path: string, mostBytes = 8 << 20) {
    this.path = path
    this.#mostBytes = mostBytes
    this.#handle = openSync(path, 'a+', 0o600)
    this.#timer = setInterval(() => this.bound(), checkEveryMs)
    this.#timer.unref()
  }

  /** The file handle for a process that starts now. */
  begin(): number {
    this.bound()
    this.#start = fstatSync(this.#handle).size
    return this.#handle
  }

  /** Begins the file anew when it is too large. */
  bound(): void {
    if (fstatSync(this.#handle).size <= this.#mostBytes) return
    try {
      copyFileSync(this.path, `${this.path}.1`)
    } catch {
      // A full disk, or a removed folder: the old lines are lost, and the disk gets its room back.
    }
    ftruncateSync(this.#handle)
    this.#start = 0
  }

  /** The last lines of the process that was started last; for messages about its end. */
  lastLines(): readonly string[] {
    const { size } = fstatSync(this.#handle)
    const from = Math.max(this.#start, size - rememberedBytes)
    const tail = Buffer.alloc(Math.max(0, size - from))
    const read = readSync(this.#handle, tail, 0, tail.length, from)
    const lines = tail.toString('utf8', 0, read).split('\n')
    return lines.filter((line) => line.trim() !== '').slice(-rememberedLines)
  }

  close(): void {
    clearInterval(this.#timer)
    closeSync(this.#handle)
  }
}
