import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { CheckFailed, runScenario } from './scenario.ts'

const lines: string[] = []
beforeEach(() => {
  lines.length = 0
  vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line))
})
afterEach(() => void vi.restoreAllMocks())

test('checks are counted, a failed attempt lets the scenario go on, and what it opened is closed, the last first', async () => {
  const closed: string[] = []
  const result = await runScenario('some', async (scenario) => {
    for (const name of ['first', 'last']) scenario.cleanup(() => void closed.push(name))
    expect(await scenario.attempt('fails', () => Promise.reject(new Error('why')))).toBe(false)
    expect(await scenario.attempt('holds', () => 'detail')).toBe(true)
    scenario.skip('part', 'not here')
    scenario.check('ends it', false, 'so')
    scenario.check('is not reached', true)
  })
  expect(result).toEqual({ passed: 1, failed: 2, skipped: 1 })
  expect(closed).toEqual(['last', 'first'])
  expect(lines.at(-1)).toBe('some: 1 passed, 2 failed, 1 skipped')
  expect(lines.join('\n')).toMatch(/ok {5}holds: detail [\s\S]*FAILED ends it: so/)
})

test('once it is interrupted nothing counts any more: neither what fails as its parts are ended, nor what comes then', async () => {
  const { promise: interrupted, reject: interrupt } = Promise.withResolvers<never>()
  const { promise: part, reject: endPart } = Promise.withResolvers<string>()
  const reached: string[] = []
  const result = await runScenario(
    'some',
    async (scenario) => {
      scenario.cleanup(() => endPart(new Error('its server is gone')))
      await scenario.attempt('before', () => undefined)
      interrupt(new CheckFailed('SIGTERM'))
      await scenario.attempt('under way', () => part)
      reached.push('the next')
    },
    interrupted,
  )
  await expect(part).rejects.toThrow('gone')
  expect(result).toEqual({ passed: 1, failed: 0, skipped: 0 })
  expect(lines.at(-1)).toBe('some: 1 passed, 0 failed, 0 skipped, interrupted')
  expect(reached).toEqual([])
})
