import { describe, expect, it } from 'vitest'
import { FairTurns, hostileReadMs, type Unfinished } from './fair-turns.ts'

/** Work that uses up all the time it is given, so many times. */
function work(name: string, times: number, log: string[]): Unfinished {
  let left = times
  return {
    goOn(deadline) {
      while (!deadline.isOver());
      log.push(name)
      return --left === 0
    },
  }
}

describe('bytes that take too long', () => {
  it('are those of all reads of a round, however many', () => {
    let nowMs = 0
    const turns = new FairTurns(() => nowMs)
    const [one, other] = [work('one', 1, []), work('other', 1, [])]
    /** Whether a read may go on after so many milliseconds of its work. */
    const read = (reader: Unfinished, ms: number): boolean => {
      const deadline = turns.beginRead(reader)
      nowMs += ms
      turns.endRead()
      return !deadline.isOver()
    }
    expect([read(one, 0.4), read(one, 0.4), read(one, 0.4), read(one, 0)]).toEqual([true, true, false, false])
    expect([read(other, 0.9), read(other, 0.2)]).toEqual([true, false])
    turns.beginRound()
    expect(read(other, 0.9)).toBe(true)
  })

  it('are less of a hostile connection', () => {
    let nowMs = 0
    const turns = new FairTurns(() => nowMs)
    const deadline = turns.beginRead(work('one', 1, []), hostileReadMs)
    nowMs += 0.2
    expect(deadline.isOver()).toBe(false)
    nowMs += 0.1
    expect(deadline.isOver()).toBe(true)
  })

  it('go on in turns, and whoever waits on the event loop comes in between', async () => {
    const turns = new FairTurns()
    const log: string[] = []
    turns.add(work('a', 20, log))
    turns.add(work('b', 20, log))
    turns.add(work('c', 1, log))
    let rounds = 0
    while (log.length < 41) {
      await new Promise((resolve) => setImmediate(resolve))
      rounds++
    }
    expect(log.slice(0, 6)).toEqual(['a', 'b', 'c', 'a', 'b', 'a'])
    // 41 turns of a quarter of a millisecond each, a millisecond a round.
    expect(rounds).toBeGreaterThanOrEqual(8)
  })

  it('do not keep it busy when all is done', async () => {
    const turns = new FairTurns()
    const log: string[] = []
    turns.add(work('a', 1, log))
    while (log.length === 0) await new Promise((resolve) => setImmediate(resolve))
    turns.add(work('b', 1, log))
    while (log.length === 1) await new Promise((resolve) => setImmediate(resolve))
    expect(log).toEqual(['a', 'b'])
  })
})
