import { expect, test } from 'vitest'
import { withJitter } from './jitter.ts'

test.each([
  [1000, 0, 0.99, 1000],
  [1000, 0.5, 0, 1000],
  [1000, 0.5, 0.5, 1250],
  [1000, 1, 0.9999, 1999],
  [0, 1, 0.5, 0],
])('%i ms with up to a share of %d more, of which chance gives %d, are %i ms', (ms, share, chance, result) => {
  expect(withJitter(ms, share, () => chance)).toBe(result)
})
