import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'

const rememberedLines = 20
const rememberedBytes = 8192

/**
 * A process's log: when it is full, it becomes `<file>.1`, which replaces the one before. Writing is synchronous: it
 * slows a process that says too much, and needs no queue.
 */
export class LogFile {
  readonly path: string
  readonly #mostBytes: number
  #handle: number | undefined
  #bytes = 0
  #lastWords = Buffer.alloc(0)

  constructor(path: string, mostBytes = 8 << 20) {
    this.path = path
    this.#mostBytes = mostBytes
    this.#open()
  }

  /** Appends what a process said. A full disk loses lines; it does not end the mesh. */
  write(chunk: Buffer): void {
    this.#lastWords = Buffer.concat([this.#lastWords, chunk]).subarray(-rememberedBytes)
    if (this.#bytes > 0 && this.#bytes + chunk.length > this.#mostBytes) this.#rotate()
    if (this.#handle === undefined) return
    try {
      this.#bytes += writeSync(this.#handle, chunk)
    } catch {
      // Nowhere to tell it.
    }
  }

  /** The last lines that a process said; for messages about its end. */
  lastLines(): readonly string[] {
    const lines = this.#lastWords.toString('utf8').split('\n')
    return lines.filter((line) => line.trim() !== '').slice(-rememberedLines)
  }

  close(): void {
    if (this.#handle !== undefined) closeSync(this.#handle)
    this.#handle = undefined
  }

  #open(): void {
    try {
      this.#handle = openSync(this.path, 'a', 0o600)
      this.#bytes = fstatSync(this.#handle).size
    } catch {
      this.#handle = undefined
    }
  }

  #rotate(): void {
    this.close()
    try {
      renameSync(this.path, `${this.path}.1`)
    } catch {
      // The file was removed under us: a new one begins all the same.
    }
    this.#open()
  }
}
