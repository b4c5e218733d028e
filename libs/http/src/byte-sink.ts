import type { ByteSink } from './stream.ts'

/** A sink that keeps everything: for tests, and for encoding without a socket. */
export class MemorySink implements ByteSink {
  private buffer = Buffer.alloc(1024)
  position = 0
  congested = false

  reserve(size: number): Buffer {
    if (this.position + size > this.buffer.length) {
      const grown = Buffer.alloc((this.position + size) * 2)
      this.buffer.copy(grown, 0, 0, this.position)
      this.buffer = grown
    }
    return this.buffer
  }

  commit(end: number): void {
    this.position = end
  }

  /** What was written since the last call. */
  take(): string {
    const text = this.buffer.latin1Slice(0, this.position)
    this.position = 0
    return text
  }
}
