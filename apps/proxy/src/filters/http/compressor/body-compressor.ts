import type { Counter } from '../../../observe/stats.ts'
import type { Compressor, CompressorLibrary } from './library.ts'

/** Bytes given and not yet compressed, above which the sender has to wait. */
const maxPendingBytes = 256 * 1024

/** Where the compressed bytes go, and who is told to wait. */
export interface CompressedOutput {
  send(data: Buffer, endStream: boolean): void
  pause(): void
  resume(): void
}

/** Compresses one body piece by piece; the work is done off this thread. */
export class BodyCompressor {
  private readonly transform: Compressor
  private readonly flush: number
  private readonly output: CompressedOutput
  private readonly bytesIn: Counter
  private pending = 0
  private paused = false
  private onEnd: (() => void) | null = null

  constructor(library: CompressorLibrary, output: CompressedOutput, bytesIn: Counter, bytesOut: Counter) {
    const transform = library.create()
    this.transform = transform
    this.flush = library.flush
    this.output = output
    this.bytesIn = bytesIn
    transform.on('data', (data: Buffer) => {
      bytesOut.add(data.length)
      output.send(data, false)
    })
    transform.on('end', () => {
      if (this.onEnd !== null) this.onEnd()
      else output.send(empty, true)
    })
    // Destroyed with its request; there is nobody to tell.
    transform.on('error', () => {})
  }

  /** `last`: the body ends with this piece. */
  write(data: Buffer, last: boolean): void {
    if (data.length === 0) {
      if (last) this.end()
      return
    }
    this.bytesIn.add(data.length)
    this.pending += data.length
    const { length } = data
    if (last) {
      this.transform.end(Buffer.from(data))
      return
    }
    this.transform.write(Buffer.from(data))
    // It leaves at once, so that nobody waits for a fuller block.
    this.transform.flush(this.flush, () => {
      this.pending -= length
      if (!this.paused || this.pending > maxPendingBytes / 2) return
      this.paused = false
      this.output.resume()
    })
    if (this.pending <= maxPendingBytes || this.paused) return
    this.paused = true
    this.output.pause()
  }

  /** The body is whole. `then`: what ends the message (trailers); without it the body's last piece does. */
  end(then: (() => void) | null = null): void {
    this.onEnd = then
    this.transform.end()
  }

  close(): void {
    this.transform.destroy()
  }
}

const empty = Buffer.alloc(0)
