import type { Transform } from 'node:stream'
import type { Counter } from '../../../observe/stats.ts'
import type { DecompressorLibrary } from './library.ts'

/** Bytes given and not yet decompressed, above which the sender has to wait: each may become a hundred. */
const maxPendingBytes = 64 * 1024

/** Where the bytes go, and who is told to wait. */
export interface DecompressedOutput {
  send(data: Buffer): void
  pause(): void
  resume(): void
}

/** What decompressors of one direction count. */
export interface DecompressionStats {
  readonly decompressed: Counter
  readonly notDecompressed: Counter
  readonly bytesIn: Counter
  readonly bytesOut: Counter
  /** By the name that the library gives a failure. */
  readonly failures: ReadonlyMap<string, Counter>
}

/**
 * Decompresses one body piece by piece; the work is done off this thread. What cannot be decompressed ends the output, and so
 * does a piece that becomes too many times larger: what came before stands.
 */
export class BodyDecompressor {
  /** Bytes of the body as it came, and as it has become. */
  compressedBytes = 0
  bytes = 0
  private readonly library: DecompressorLibrary
  private readonly stats: DecompressionStats
  private readonly output: DecompressedOutput
  private readonly transform: Transform
  private readonly waiting: Buffer[] = []
  private waitingBytes = 0
  private writing = false
  private paused = false
  private failed = false
  /** What may still come of the piece at hand. */
  private allowance = 0
  private onEnd: (() => void) | null = null

  constructor(library: DecompressorLibrary, stats: DecompressionStats, output: DecompressedOutput) {
    this.library = library
    this.stats = stats
    this.output = output
    const transform = library.create()
    this.transform = transform
    transform.on('data', (data: Buffer) => this.take(data))
    transform.on('end', () => this.finish())
    transform.on('error', (error: NodeJS.ErrnoException) => this.fail(error.code ?? ''))
  }

  write(data: Buffer): void {
    if (data.length === 0) return
    this.compressedBytes += data.length
    this.stats.bytesIn.add(data.length)
    if (this.failed) return
    this.waiting.push(Buffer.from(data))
    this.waitingBytes += data.length
    if (this.waitingBytes > maxPendingBytes && !this.paused) {
      this.paused = true
      this.output.pause()
    }
    this.next()
  }

  /** The body is whole; `then` is called when all of it has been sent, and never at once. */
  end(then: () => void): void {
    this.onEnd = then
    if (this.failed) process.nextTick(() => this.finish())
    else this.next()
  }

  close(): void {
    this.failed = true
    this.onEnd = null
    this.transform.destroy()
  }

  /** One piece at a time, so that what comes out is known to be of it. */
  private next(): void {
    if (this.writing || this.failed) return
    const piece = this.waiting.shift()
    if (piece === undefined) {
      if (this.onEnd !== null && !this.transform.writableEnded) this.transform.end()
      return
    }
    this.writing = true
    this.allowance = piece.length * this.library.maxRatio
    this.transform.write(piece, (error) => {
      this.writing = false
      // The failure is told by an event of its own.
      if (error !== null && error !== undefined) return
      this.waitingBytes -= piece.length
      this.resumeBelow(maxPendingBytes / 2)
      this.next()
    })
  }

  private take(data: Buffer): void {
    if (this.failed) return
    this.bytes += data.length
    this.allowance -= data.length
    this.stats.bytesOut.add(data.length)
    this.output.send(data)
    if (this.allowance < 0) this.fail(null)
  }

  private fail(code: string | null): void {
    if (this.failed) return
    this.failed = true
    this.stats.failures.get(this.library.failureOf(code))?.inc()
    this.waiting.length = 0
    this.waitingBytes = 0
    this.transform.destroy()
    this.resumeBelow(maxPendingBytes)
    if (this.onEnd !== null) this.finish()
  }

  private finish(): void {
    const { onEnd } = this
    this.onEnd = null
    onEnd?.()
  }

  private resumeBelow(bytes: number): void {
    if (!this.paused || this.waitingBytes > bytes) return
    this.paused = false
    this.output.resume()
  }
}
