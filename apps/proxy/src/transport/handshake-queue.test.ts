import { setImmediate as nextRound } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { HandshakeQueue } from './handshake-queue.ts'

test('handshakes begin a few a round of the event loop, in their order', async () => {
  const queue = new HandshakeQueue()
  const begun: number[] = []
  for (let i = 0; i < 10; i++) expect(queue.push(() => begun.push(i))).toBe(true)
  expect(begun).toEqual([0, 1, 2, 3])
  await nextRound()
  expect(begun).toHaveLength(8)
  while (begun.length < 10) await nextRound()
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('when too many wait the next is turned away', () => {
  const queue = new HandshakeQueue()
  let taken = 0
  while (queue.push(() => {})) taken++
  expect(taken).toBe(4096 + 4)
})
