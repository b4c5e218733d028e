import { expect, test } from 'vitest'
import { RecentCount } from './recent-count.ts'

test('what a count grew by is told for the last interval alone', () => {
  const recent = new RecentCount(1000)
  for (let i = 0; i < 10; i++) recent.note(i, i * 100)
  expect(recent.since(10, 900)).toBe(10)
  expect(recent.since(10, 1450)).toBe(5)
  expect(recent.since(10, 2500)).toBe(0)
})

test('many notes within a moment are kept as one', () => {
  const recent = new RecentCount(1000)
  for (let i = 0; i < 10_000; i++) recent.note(i, i / 1000)
  expect(recent.since(10_000, 10)).toBe(10_000)
  expect(recent.since(10_000, 1100)).toBe(0)
})

test('a count that wraps around is followed', () => {
  const recent = new RecentCount(1000)
  recent.note(2 ** 31 - 1, 0)
  expect(recent.since(-(2 ** 31) + 4, 10)).toBe(5)
})
