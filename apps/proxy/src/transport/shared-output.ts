/**
 * One output buffer for all connections of a thread. Codecs write into it; when this round of the event loop has read all
 * it had to, what stands there goes to the kernel, one write a connection. Two things are won over writing after each read:
 * the code of a request's way stays in the caches while the round's requests go through it, and a peer that sleeps is woken
 * once a round and not for each write. A buffer of which the kernel did not take all stays with its sockets, and another
 * takes its place.
 */

/** Who has bytes in the buffer. */
export interface OutputOwner {
  /** Gives the range from `start` to `end` to the kernel. False: the bytes are still needed. */
  writeOut(bytes: Buffer, start: number, end: number): boolean
}

const initialSize = 256 * 1024
/** A range of this size leaves at once: it is a body's, and whether the peer keeps up has to be known. */
const largeRange = 16 * 1024

export class SharedOutput {
  buffer: Buffer = Buffer.allocUnsafeSlow(initialSize)
  position = 0
  private owner: OutputOwner | null = null
  /** Where the range of `owner` begins. */
  private start = 0
  /** Ranges that are complete, in order: whose, and where they end; each begins where the one before ends. */
  private owners: (OutputOwner | null)[] = []
  private ends: number[] = []
  private scheduled = false

  /** Room for `size` bytes of `owner` behind `position`. */
  reserve(owner: OutputOwner, size: number): Buffer {
    if (this.buffer.length - this.position < size) {
      this.flush()
      if (this.buffer.length < size) this.buffer = Buffer.allocUnsafeSlow(size + initialSize)
    }
    if (this.owner !== owner) {
      this.closeRange()
      this.owner = owner
    }
    return this.buffer
  }

  commit(end: number): void {
    this.position = end
    if (end - this.start >= largeRange) this.flush()
    else if (!this.scheduled) {
      this.scheduled = true
      setImmediate(this.flushRound)
    }
  }

  private readonly flushRound = (): void => {
    this.scheduled = false
    this.flush()
  }

  private closeRange(): void {
    if (this.position === this.start) return
    this.owners.push(this.owner)
    this.ends.push(this.position)
    this.start = this.position
  }

  /** Gives all bytes to the kernel now. */
  flush(): void {
    this.closeRange()
    this.owner = null
    const { owners, ends, buffer } = this
    let start = 0
    let taken = true
    for (let i = 0; i < owners.length; i++) {
      const end = ends[i]!
      const owner = owners[i]!
      if (owner !== null && !owner.writeOut(buffer, start, end)) taken = false
      start = end
    }
    owners.length = 0
    ends.length = 0
    this.position = 0
    this.start = 0
    if (!taken) this.buffer = Buffer.allocUnsafeSlow(initialSize)
  }

  /** Whether bytes of `owner` wait here. */
  holds(owner: OutputOwner): boolean {
    return (this.owner === owner && this.position > this.start) || this.owners.includes(owner)
  }

  /** Throws away what stands here of `owner`. */
  drop(owner: OutputOwner): void {
    if (this.owner === owner) {
      this.position = this.start
      this.owner = null
    }
    for (let i = this.owners.indexOf(owner); i >= 0; i = this.owners.indexOf(owner, i)) this.owners[i] = null
  }
}

/** The one of this thread. */
export const sharedOutput = new SharedOutput()
