import { performance } from 'node:perf_hooks'
import type { Deadline } from '@weft/http/h2/frame-reader'
import { beginTurn, endTurn } from './clock.ts'

/** Milliseconds that the bytes which a connection reads in one round of the event loop may take of it, and those of a hostile one. */
const readMs = 1
export const hostileReadMs = 0.25
/** Milliseconds that all which earlier reads left may take of a round, and each of them at a time. */
const roundMs = 1
const turnMs = 0.25
/** Who has bytes left that would have taken too long. */
export interface Unfinished {
  /** Goes on until the deadline; whether that was all. */
  goOn(deadline: Deadline): boolean
}

/**
 * Keeps one connection's bytes from taking a whole round of the event loop: 64 KiB hold thousands of requests, and all other
 * connections wait for them. What is left at the end of its time goes on in later rounds, in turns of all that have something
 * left, while the others are read in between.
 */
export class FairTurns {
  private readonly queue: Unfinished[] = []
  private readonly now: () => number
  private readonly slice: Slice
  private scheduled = false
  /** Who read last in this round, and what is left of its time: a socket with more to read is read again and again. */
  private reader: Unfinished | null = null
  private leftMs = 0
  private startedMs = 0

  constructor(now: () => number = () => performance.now()) {
    this.now = now
    this.slice = new Slice(now)
  }

  /** For the bytes of a read that has just begun, all of which in a round may take `ms`; `endRead` follows. */
  beginRead(reader: Unfinished, ms = readMs): Deadline {
    if (reader !== this.reader) {
      this.reader = reader
      this.leftMs = ms
    }
    this.startedMs = this.now()
    return this.slice.from(this.startedMs, this.leftMs)
  }

  endRead(): void {
    this.leftMs -= this.now() - this.startedMs
  }

  /** What has been read is done with: another round begins. */
  beginRound(): void {
    this.reader = null
  }

  /** Has `unfinished` go on in the next rounds until it is done. */
  add(unfinished: Unfinished): void {
    this.queue.push(unfinished)
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.round)
  }

  private readonly round = (): void => {
    this.scheduled = false
    this.beginRound()
    const end = this.now() + roundMs
    do {
      const unfinished = this.queue.shift()
      if (unfinished === undefined) return
      beginTurn()
      const isDone = unfinished.goOn(this.slice.from(this.now(), turnMs))
      endTurn()
      if (!isDone) this.queue.push(unfinished)
    } while (this.now() < end)
    if (this.queue.length > 0) this.schedule()
  }
}

class Slice implements Deadline {
  private readonly now: () => number
  private endMs = 0

  constructor(now: () => number) {
    this.now = now
  }

  from(nowMs: number, ms: number): this {
    this.endMs = nowMs + ms
    return this
  }

  isOver(): boolean {
    return this.now() >= this.endMs
  }
}

/** Of this thread. */
export const fairTurns = new FairTurns()
