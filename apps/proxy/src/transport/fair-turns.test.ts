import type { PeerStanding } from '@weft/http/h2/abuse-budget'
import { describe, expect, it } from 'vitest'
import { FairTurns, type Unfinished } from './fair-turns.ts'

/** Work that uses up all the time it is given, so many times. */
function work(name: string, times: number, log: string[], standing: PeerStanding = 'steady'): Unfinished {
  let left = times
  return {
    standing,
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

  it('are less of a new connection, and of all such together', () => {
    let nowMs = 0
    const turns = new FairTurns(() => nowMs)
    const read = (ms: number): boolean => {
      const deadline = turns.beginRead(work('one', 1, [], 'new'))
      nowMs += ms
      turns.endRead()
      return !deadline.isOver()
    }
    expect([read(0.2), read(0.3), read(0.1)]).toEqual([true, false, false])
    turns.beginRound()
    expect(read(0.2)).toBe(true)
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
    // 41 turns of a quarter of a millisecond each, half a millisecond a round.
    expect(rounds).toBeGreaterThanOrEqual(15)
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

  it('of fickle peers have turns of their own, and rest between them', async () => {
    let nowMs = 0
    const turns = new FairTurns(() => nowMs)
    const log: string[] = []
    const one = (name: string, standing: PeerStanding): Unfinished => ({
      standing,
      goOn: () => {
        nowMs += 0.25
        log.push(name)
        return false
      },
    })
    for (let i = 0; i < 10; i++) turns.add(one('fickle', 'fickle'))
    turns.add(one('steady', 'steady'))
    while (log.length < 400) await new Promise((resolve) => setImmediate(resolve))
    const share = log.filter((name) => name === 'fickle').length / log.length
    // Half a millisecond of the others' work each round, and a quarter of theirs in each whole one.
    expect(share).toBeGreaterThan(0.15)
    expect(share).toBeLessThanOrEqual(0.26)
  })

  it('of fickle peers go on when nobody else has anything left', async () => {
    const turns = new FairTurns()
    const log: string[] = []
    turns.add(work('a', 5, log, 'fickle'))
    while (log.length < 5) await new Promise((resolve) => setImmediate(resolve))
    expect(log).toEqual(['a', 'a', 'a', 'a', 'a'])
  })
})
