import { closeSync, openSync, write, writeSync } from 'node:fs'
import type { FormatContext } from '../format/context.ts'
import type { TextFormat } from '../format/text-format.ts'

const flushBytes = 64 * 1024
const flushMs = 1000
/** Lines that wait for a slow disk; more are dropped and counted. */
const maxPendingBytes = 16 * 1024 * 1024

/**
 * One access-log file of a worker. Lines gather in a buffer that leaves in one write, when it is full or after a second; a
 * line is at most as long as the buffer.
 */
export class LogFile {
  readonly path: string
  private fd: number
  private buffer = Buffer.allocUnsafe(flushBytes)
  private used = 0
  private pendingBytes = 0
  private timer: NodeJS.Timeout | null = null
  dropped = 0
  failed = 0

  constructor(path: string) {
    this.path = path
    this.fd = openLog(path)
  }

  /** Adds the line that a format makes of a stream: by bytes where it can, without a string. */
  log(format: TextFormat, stream: FormatContext): void {
    if (format.write === undefined) {
      this.add(format(stream))
      return
    }
    let end = format.write(stream, this.buffer, this.used)
    if (end < 0 && this.used > 0) {
      this.flush()
      end = format.write(stream, this.buffer, 0)
    }
    if (end < 0) {
      this.add(format(stream))
      return
    }
    this.used = end
    this.flushSoon()
  }

  /** Adds a line (with its line end). */
  add(line: string): void {
    const { length } = line
    // A latin1 string of headers' bytes; what is above is rare and costs a second look.
    if (length > flushBytes) {
      this.flush()
      this.send(Buffer.from(line, 'latin1'))
      return
    }
    if (this.used + length > flushBytes) this.flush()
    this.used += this.buffer.latin1Write(line, this.used)
    this.flushSoon()
  }

  private flushSoon(): void {
    if (this.timer === null) {
      this.timer = setTimeout(() => {
        this.timer = null
        this.flush()
      }, flushMs)
      this.timer.unref()
    }
  }

  flush(): void {
    if (this.used === 0) return
    const bytes = this.buffer.subarray(0, this.used)
    this.buffer = Buffer.allocUnsafe(flushBytes)
    this.used = 0
    this.send(bytes)
  }

  private send(bytes: Buffer): void {
    if (this.pendingBytes + bytes.length > maxPendingBytes) {
      this.dropped++
      return
    }
    this.pendingBytes += bytes.length
    write(this.fd, bytes, (error) => {
      this.pendingBytes -= bytes.length
      if (error !== null) this.failed++
    })
  }

  /** Opens the path anew (after a log rotation). */
  reopen(): void {
    this.flush()
    const before = this.fd
    try {
      this.fd = openLog(this.path)
    } catch {
      this.failed++
      return
    }
    // Writes under way still use the old descriptor: give them time.
    if (before > 2) setTimeout(() => closeSync(before), flushMs).unref()
  }

  /** Writes what is left at once. */
  close(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    if (this.used === 0) return
    try {
      writeSync(this.fd, this.buffer, 0, this.used)
    } catch {
      this.failed++
    }
    this.used = 0
  }
}

function openLog(path: string): number {
  if (path === '/dev/stdout') return 1
  if (path === '/dev/stderr') return 2
  return openSync(path, 'a', 0o644)
}

/** Throws where a log can't be opened; opens nothing that stays open. */
export function requireWritable(path: string): void {
  const fd = openLog(path)
  if (fd > 2) closeSync(fd)
}

/** The log files of a thread: one a path, however many listeners write there. */
export class LogFiles {
  private readonly files = new Map<string, LogFile>()

  open(path: string): LogFile {
    let file = this.files.get(path)
    if (file === undefined) {
      file = new LogFile(path)
      this.files.set(path, file)
    }
    return file
  }

  reopen(): void {
    for (const file of this.files.values()) file.reopen()
  }

  flush(): void {
    for (const file of this.files.values()) file.flush()
  }

  close(): void {
    for (const file of this.files.values()) file.close()
  }
}
