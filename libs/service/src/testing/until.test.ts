import { expect, it } from 'vitest'
import { until } from './until.ts'

it('asks again until the condition holds', async () => {
  let asked = 0
  await until(async () => ++asked === 3, 'the third time')
  expect(asked).toBe(3)
})

it('says what it waited for in vain', async () => {
  await expect(until(() => false, 'the cows to come home', 1)).rejects.toThrow('not within 1 ms: the cows to come home')
})
