/**
 * One output buffer for all connections of a thread. A codec writes into it; at the end of the turn (one read callback)
 * what stands there goes to the kernel in one write. A buffer the kernel did not take whole stays with its socket, and
 * another takes its place.
 */

import { beginTurn, endTurn } from './clock.ts'

/** Who has bytes in the buffer now. */
export interface OutputOwner {
  flush(): void
}

const initialSize = 256 * 1024

export class SharedOutput {
  buffer: Buffer = Buffer.allocUnsafeSlow(initialSize)
  position = 0
  owner: OutputOwner | null = null
  private inTurn = false
  private scheduled = false

  /** Room for `size` bytes of `owner` behind `position`; another owner's bytes are flushed first. */
  reserve(owner: OutputOwner, size: number): Buffer {
    if (this.owner !== owner) {
      this.owner?.flush()
      this.owner = owner
    }
    if (this.buffer.length - this.position < size) {
      owner.flush()
      this.owner = owner
      if (this.buffer.length < size) this.buffer = Buffer.allocUnsafeSlow(size + initialSize)
    }
    return this.buffer
  }

  commit(end: number): void {
    this.position = end
    if (!this.inTurn && !this.scheduled) {
      this.scheduled = true
      queueMicrotask(this.flushLater)
    }
  }

  private readonly flushLater = () => {
    this.scheduled = false
    this.owner?.flush()
  }

  /** Between these two, commits wait for `endTurn`. */
  beginTurn(): void {
    this.inTurn = true
    beginTurn()
  }

  endTurn(): void {
    this.inTurn = false
    this.owner?.flush()
    endTurn()
  }

  /** The bytes written so far, as the caller's for one synchronous use; the buffer is free after it or `abandon`. */
  take(): Buffer {
    const view = this.buffer.subarray(0, this.position)
    this.position = 0
    this.owner = null
    return view
  }

  /** The last taken bytes are still needed: leave the buffer to them. */
  abandon(): void {
    this.buffer = Buffer.allocUnsafeSlow(initialSize)
  }
}

/** The one of this thread. */
export const sharedOutput = new SharedOutput()
