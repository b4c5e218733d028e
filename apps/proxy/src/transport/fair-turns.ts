import { performance } from 'node:perf_hooks'
import type { PeerStanding } from '@weft/http/h2/abuse-budget'
import type { Deadline } from '@weft/http/h2/frame-reader'
import { beginTurn, endTurn } from './clock.ts'

/** Milliseconds that the bytes which a steady peer's connection reads in one round of the event loop may take of it. */
const readMs = 1
/** The same of others, and of all of those together. */
const strangerReadMs = 0.25
const strangersReadMs = 0.5
/** Milliseconds that all which earlier reads left may take of a round, and each of them at a time. */
const roundMs = 0.5
const turnMs = 0.25
/** The same of all fickle peers together, and how many times as long they stand back then. */
const fickleMs = 0.25
const fickleRest = 3

/** Who has bytes left that would have taken too long. */
export interface Unfinished {
  readonly standing: PeerStanding
  /** Goes on until the deadline; whether that was all. */
  goOn(deadline: Deadline): boolean
}

/**
 * Keeps one connection's bytes from taking a whole round of the event loop: 64 KiB hold thousands of requests, and all other
 * connections wait for them. What is left at the end of its time goes on in later rounds, in turns of all that have something
 * left, while the others are read in between. Fickle peers have turns of their own, and a quarter of the time at most, however
 * many they are.
 */
export class FairTurns {
  private readonly queue: Unfinished[] = []
  private readonly fickle: Unfinished[] = []
  private fickleDueMs = 0
  private readonly now: () => number
  private readonly slice: Slice
  private scheduled = false
  private timer: NodeJS.Timeout | null = null
  /** Who read last in this round, and what is left of its time: a socket with more to read is read again and again. */
  private reader: Unfinished | null = null
  private leftMs = 0
  private strangersLeftMs = strangersReadMs
  private startedMs = 0

  constructor(now: () => number = () => performance.now()) {
    this.now = now
    this.slice = new Slice(now)
  }

  /** For the bytes of a read that has just begun; `endRead` follows. */
  beginRead(reader: Unfinished): Deadline {
    const isStranger = reader.standing !== 'steady'
    if (reader !== this.reader) {
      this.reader = reader
      this.leftMs = isStranger ? strangerReadMs : readMs
    }
    this.startedMs = this.now()
    return this.slice.from(this.startedMs, isStranger ? Math.min(this.leftMs, this.strangersLeftMs) : this.leftMs)
  }

  endRead(): void {
    const took = this.now() - this.startedMs
    this.leftMs -= took
    if (this.reader !== null && this.reader.standing !== 'steady') this.strangersLeftMs -= took
  }

  /** What has been read is done with: another round begins. */
  beginRound(): void {
    this.reader = null
    this.strangersLeftMs = strangersReadMs
  }

  /** Has `unfinished` go on in the next rounds until it is done. */
  add(unfinished: Unfinished): void {
    this.push(unfinished)
    this.schedule()
  }

  private push(unfinished: Unfinished): void {
    if (unfinished.standing === 'fickle') this.fickle.push(unfinished)
    else this.queue.push(unfinished)
  }

  private schedule(): void {
    const { queue, fickle } = this
    if (this.scheduled || (queue.length === 0 && fickle.length === 0)) return
    if (queue.length > 0 || this.now() >= this.fickleDueMs) {
      this.scheduled = true
      setImmediate(this.round)
    } else this.timer ??= setTimeout(this.round, 1)
  }

  private readonly round = (): void => {
    this.scheduled = false
    if (this.timer !== null) {
      clearTimeout(this.timer)
      this.timer = null
    }
    this.beginRound()
    this.run(this.queue, roundMs)
    const startedMs = this.now()
    if (this.fickle.length > 0 && startedMs >= this.fickleDueMs) {
      this.run(this.fickle, fickleMs)
      const endedMs = this.now()
      this.fickleDueMs = endedMs + (endedMs - startedMs) * fickleRest
    }
    this.schedule()
  }

  private run(queue: Unfinished[], ms: number): void {
    const end = this.now() + ms
    while (this.now() < end) {
      const unfinished = queue.shift()
      if (unfinished === undefined) return
      beginTurn()
      const isDone = unfinished.goOn(this.slice.from(this.now(), turnMs))
      endTurn()
      if (!isDone) this.push(unfinished)
    }
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
