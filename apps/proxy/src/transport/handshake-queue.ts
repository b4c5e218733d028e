/** Handshakes that are begun in one round of the event loop: a signature each, a quarter of a millisecond or more. */
const aRound = 4
/** Clients that wait for theirs; more are turned away. */
const maxWaiting = 4096

/**
 * Lets handshakes begin a few at a time, so that a flood of them leaves the connections that are there their share of the
 * thread.
 */
export class HandshakeQueue {
  private readonly waiting: (() => void)[] = []
  private begun = 0
  private scheduled = false

  /** Begins now or in a later round; false: too many wait. */
  push(begin: () => void): boolean {
    if (this.begun < aRound && this.waiting.length === 0) {
      this.begun++
      this.schedule()
      begin()
      return true
    }
    if (this.waiting.length >= maxWaiting) return false
    this.waiting.push(begin)
    this.schedule()
    return true
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      const next = this.waiting.splice(0, aRound)
      this.begun = next.length
      if (next.length > 0) this.schedule()
      for (const begin of next) begin()
    })
  }
}
