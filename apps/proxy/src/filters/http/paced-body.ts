import { Timeout, type TimerWheel } from '../../transport/timer-wheel.ts'

/** How fast a body may go, and how much of it may wait. */
export interface Pace {
  /** Bytes that wait before the sender has to. */
  readonly pauseAbove: number
  /** It may go on when so many wait. */
  readonly resumeAt: number
  /** How many of `wanted` bytes go now. */
  take(wanted: number): number
  /** When to ask again (ms). */
  waitMs(): number
}

/** Where the bytes go, who is told to wait, and who counts. */
export interface PacedOutput {
  send(data: Buffer, endStream: boolean): void
  pause(): void
  resume(): void
  /** So many bytes go on; `waiting`: others have to wait. */
  went?(bytes: number, waiting: boolean): void
}

/** Lets a body through as its pace allows. */
export class PacedBody {
  private readonly pace: Pace
  private readonly timers: TimerWheel
  private readonly output: PacedOutput
  private readonly timer: Timeout
  private waiting: Buffer[] = []
  private waitingBytes = 0
  private ended = false
  private paused = false
  private onEnd: (() => void) | null = null

  constructor(pace: Pace, timers: TimerWheel, output: PacedOutput) {
    this.pace = pace
    this.timers = timers
    this.output = output
    this.timer = new Timeout(() => this.release())
  }

  write(data: Buffer, endStream: boolean): void {
    if (data.length > 0) this.waiting.push(Buffer.from(data))
    this.waitingBytes += data.length
    this.ended ||= endStream
    if (!this.paused && this.waitingBytes > this.pace.pauseAbove) {
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

  close(): void {
    this.timers.cancel(this.timer)
    this.waiting = []
    this.waitingBytes = 0
  }

  private release(): void {
    const bytes = this.pace.take(this.waitingBytes)
    this.waitingBytes -= bytes
    const waits = this.waitingBytes > 0
    if (waits) this.timers.arm(this.timer, this.pace.waitMs())
    this.output.went?.(bytes, waits)
    this.sendOn(bytes)
    if (this.paused && this.waitingBytes <= this.pace.resumeAt) {
      this.paused = false
      this.output.resume()
    }
    if (waits) return
    if (this.onEnd !== null) this.onEnd()
    else if (this.ended) this.output.send(empty, true)
  }

  private sendOn(bytes: number): void {
    for (let room = bytes; room > 0; ) {
      const first = this.waiting[0]
      if (first === undefined) return
      const piece = first.subarray(0, room)
      room -= piece.length
      if (piece.length === first.length) this.waiting.shift()
      else this.waiting[0] = first.subarray(piece.length)
      this.output.send(piece, false)
    }
  }
}

const empty = Buffer.alloc(0)
