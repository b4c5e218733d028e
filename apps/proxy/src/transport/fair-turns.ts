import { performance } from 'node:perf_hooks'
import type { Deadline } from '@weft/http/h2/frame-reader'
import { beginTurn, endTurn, monotonicMs } from './clock.ts'

/** Milliseconds that one read's bytes may take of a round of the event loop. */
const readMs = 1
/** Milliseconds that all which earlier reads left may take of a round, and each of them at a time. */
const roundMs = 1
const turnMs = 0.25
/** The clock is looked at for every so many frames. */
const framesALook = 4

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
  private readonly slice = new Slice()
  private scheduled = false

  /** For the bytes of a read that has just begun. */
  forRead(): Deadline {
    return this.slice.from(monotonicMs(), readMs)
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
    const end = performance.now() + roundMs
    do {
      const unfinished = this.queue.shift()
      if (unfinished === undefined) return
      beginTurn()
      const isDone = unfinished.goOn(this.slice.from(monotonicMs(), turnMs))
      endTurn()
      if (!isDone) this.queue.push(unfinished)
    } while (performance.now() < end)
    if (this.queue.length > 0) this.schedule()
  }
}

class Slice implements Deadline {
  private endMs = 0
  private asked = 0

  from(nowMs: number, ms: number): this {
    this.endMs = nowMs + ms
    this.asked = 0
    return this
  }

  isOver(): boolean {
    return ++this.asked % framesALook === 0 && performance.now() >= this.endMs
  }
}

/** Of this thread. */
export const fairTurns = new FairTurns()
