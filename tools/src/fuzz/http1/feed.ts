import type { Random } from '../random.ts'

/** Where a stream is fed into. */
interface FeedTarget {
  give(bytes: Buffer): void
  /** Whether the reader asked for no more for now. */
  isPaused(): boolean
  isClosed(): boolean
}

/** A way to hand a stream over: in which pieces, and with which interruptions by the one who reads the message. */
export interface Feed {
  run(target: FeedTarget): Promise<void>
  /** Asked at each piece of a body: may stop the reading and let it go on later. */
  interrupt(pause: () => void, resume: () => void): void
}

/** The whole stream at once, without interruptions. */
export function wholeFeed(stream: Uint8Array): Feed {
  return pieces(stream, () => stream.length, undefined)
}

/** Pieces of random lengths up to `longest`, and, if `interrupts`, readers who pause now and then. */
export function choppedFeed(stream: Uint8Array, random: Random, longest: number, interrupts: boolean): Feed {
  return pieces(stream, () => 1 + random(longest), interrupts ? random : undefined)
}

function pieces(stream: Uint8Array, size: () => number, interrupts: Random | undefined): Feed {
  let resume: (() => void) | undefined
  return {
    async run(target) {
      const settle = async (): Promise<void> => {
        for (;;) {
          await turn()
          const waiting = resume
          resume = undefined
          if (waiting === undefined) return
          waiting()
        }
      }
      for (let at = 0; at < stream.length && !target.isClosed(); ) {
        // A socket gives nothing while it is paused: what is left then never comes.
        if (target.isPaused()) break
        const end = Math.min(stream.length, at + size())
        // A buffer of its own, overwritten afterwards: who kept a reference to it instead of a copy is found out.
        const piece = Buffer.from(stream.subarray(at, end))
        target.give(piece)
        piece.fill(0x7e)
        at = end
        await settle()
      }
      await settle()
    },
    interrupt(pause, goOn) {
      if (interrupts === undefined || resume !== undefined || interrupts(4) !== 0) return
      pause()
      resume = goOn
    },
  }
}

/** Lets everything that waits for the end of the turn run. */
async function turn(): Promise<void> {
  await Promise.resolve()
  await Promise.resolve()
}
