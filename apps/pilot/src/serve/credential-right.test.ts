import { createLogger } from '@weft/service/logger'
import { expect, onTestFinished, test } from 'vitest'
import { followCredentialRight } from './credential-right.ts'

const patience = { timeout: 15_000 }

function follow(mayRead: () => Promise<boolean>): boolean[] {
  const told: boolean[] = []
  const stop = followCredentialRight({
    credentials: { mayRead },
    namespace: 'web',
    serviceAccount: 'gateway',
    changed: (may) => void told.push(may),
    logger: createLogger('test', 'silent'),
    againMs: 5,
    retryMs: 5,
  })
  onTestFinished(stop)
  return told
}

test('a right is told when it is given, taken away and given again', async () => {
  let may = false
  let asked = 0
  const told = follow(async () => {
    asked++
    return may
  })
  await expect.poll(() => asked, patience).toBeGreaterThan(2)
  expect(told).toEqual([])
  for (const answer of [true, false, true]) {
    may = answer
    await expect.poll(() => told.at(-1), patience).toBe(answer)
  }
  expect(told).toEqual([true, false, true])
})

test('while nobody can tell, the last answer stands', async () => {
  let answer: 'yes' | 'lost' | 'no' = 'yes'
  let lost = 0
  const told = follow(async () => {
    if (answer === 'lost') {
      lost++
      throw new Error('the API server is away')
    }
    return answer === 'yes'
  })
  await expect.poll(() => told, patience).toEqual([true])
  answer = 'lost'
  await expect.poll(() => lost, patience).toBeGreaterThan(2)
  expect(told).toEqual([true])
  answer = 'no'
  await expect.poll(() => told, patience).toEqual([true, false])
})
