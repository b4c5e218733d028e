import { Timeout, type TimerWheel } from '../../../transport/timer-wheel.ts'

/** Portions a second: Envoy's. */
const portions = 16
const intervalMs = 1000 / portions

/** Where the bytes go, and who is told to wait. */
export interface ThrottledOutput {
  send(data: Buffer, endStream: boolean): void
  pause(): void
  resume(): void
}

/** Lets a body through no faster than so many bytes a second. */
export class Throttle {
  private readonly bytesPerPortion: number
  private readonly output: ThrottledOutput
  private readonly timers: TimerWheel
  private readonly timer: Timeout
  private waiting: Buffer[] = []
  private waitingBytes = 0
  private ended = false
  private onEnd: (() => void) | null = null
  private paused = false
  private lastMs = performance.now() - intervalMs

  constructor(bytesPerSecond: number, output: ThrottledOutput, timers: TimerWheel) {
    this.bytesPerPortion = Math.max(1, Math.floor(bytesPerSecond / portions))
    this.output = output
    this.timers = timers
    this.timer = new Timeout(() => this.release())
  }

  write(data: Buffer, endStream: boolean): void {
    if (data.length > 0) this.waiting.push(Buffer.from(data))
    this.waitingBytes += data.length
    this.ended ||= endStream
    if (!this.paused && this.waitingBytes > Math.max(65_536, this.bytesPerPortion * portions)) {
      this.paused = true
      this.output.pause()
    }
    if (!this.timer.armed) this.release()
  }

  /** The body is whole, and something else (trailers) ends the message. False: all has left already. */
  endWith(then: () => void): boolean {
    if (this.waitingBytes === 0) return false
    this.onEnd = then
    return true
  }

  private release(): void {
    const now = performance.now()
    // A pause doesn't add up to a burst longer than a second.
    const due = Math.min(portions, Math.floor((now - this.lastMs) / intervalMs + 1e-6))
    if (due > 0) {
      this.lastMs = due === portions ? now : this.lastMs + due * intervalMs
      this.sendUpTo(due * this.bytesPerPortion)
    }
    if (this.waitingBytes > 0) {
      if (!this.timer.armed) this.timers.arm(this.timer, Math.max(1, this.lastMs + intervalMs - performance.now()))
      return
    }
    if (this.onEnd !== null) this.onEnd()
    else if (this.ended) this.output.send(empty, true)
  }

  private sendUpTo(bytes: number): void {
    let room = bytes
    while (room > 0 && this.waitingBytes > 0) {
      const first = this.waiting[0]!
      const piece = first.subarray(0, room)
      room -= piece.length
      this.waitingBytes -= piece.length
      if (piece.length === first.length) this.waiting.shift()
      else this.waiting[0] = first.subarray(piece.length)
      this.output.send(piece, false)
    }
    if (this.paused && this.waitingBytes <= this.bytesPerPortion) {
      this.paused = false
      this.output.resume()
    }
  }

  close(): void {
    this.timers.cancel(this.timer)
    this.waiting = []
    this.waitingBytes = 0
  }
}

const empty = Buffer.alloc(0)
