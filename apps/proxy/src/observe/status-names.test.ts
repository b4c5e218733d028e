import { expect, it } from 'vitest'
import { statusNames } from './status-names.ts'

it.each([
  [103, 'completed 1xx 103'],
  [200, 'completed 2xx 200'],
  [599, 'completed 5xx 599'],
  [600, 'completed unknown'],
  [999, 'completed unknown'],
])('%i is counted as %s', (status, names) => {
  expect(statusNames(status).join(' ')).toBe(names)
})
