import { maxWindow } from './frame.ts'

/** What may be sent to the peer: the window of a stream or of the connection (RFC 9113 section 5.2). */
export class SendWindow {
  /** Below 0 when the peer made its initial window smaller while bytes were under way. */
  available: number

  constructor(initial: number) {
    this.available = initial
  }

  /** Widens it; false: beyond what a window may be. */
  widen(by: number): boolean {
    this.available += by
    return this.available <= maxWindow
  }
}

/** What the peer may send to us. Bytes are given back when half of the window is used up and they are consumed. */
export class ReceiveWindow {
  private size: number
  private available: number
  private consumed = 0

  constructor(size: number) {
    this.size = size
    this.available = size
  }

  /** Bytes came; false: more than the peer was allowed. */
  take(length: number): boolean {
    this.available -= length
    return this.available >= 0
  }

  /** Bytes were consumed; gives the increment to tell the peer now, or 0. */
  consume(length: number): number {
    this.consumed += length
    if (this.consumed * 2 < this.size) return 0
    const increment = this.consumed
    this.consumed = 0
    this.available += increment
    return increment
  }

  /** Another size; what is under way counts on (the peer applies our settings when it acknowledges them). */
  resize(size: number): void {
    this.available += size - this.size
    this.size = size
  }
}
