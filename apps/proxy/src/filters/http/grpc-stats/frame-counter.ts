const headBytes = 5

/** Counts the messages of a gRPC body (each a flag, four bytes of length, and that many bytes) as its pieces come. */
export class FrameCounter {
  private head = 0
  private length = 0
  private left = 0

  /** How many messages begin to be known in this piece: their five first bytes are there. */
  add(data: Buffer): number {
    let count = 0
    let at = 0
    while (at < data.length) {
      if (this.left > 0) {
        const skipped = Math.min(this.left, data.length - at)
        this.left -= skipped
        at += skipped
        continue
      }
      const byte = data[at++]!
      this.length = this.head === 0 ? 0 : this.length * 256 + byte
      this.head++
      if (this.head < headBytes) continue
      this.head = 0
      this.left = this.length
      count++
    }
    return count
  }
}
