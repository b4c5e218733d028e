import { expect, it } from 'vitest'
import { describeWhere, WeftError } from './errors.ts'

it('an error says in one line where it is, what happened and what to do', () => {
  const error = new WeftError('invalid_argument', 'unknown field', {
    where: { file: 'a.yaml', line: 12, path: 'spec.http[0].route' },
    hint: 'remove it',
  })
  expect(error.describe()).toBe('a.yaml:12: spec.http[0].route: unknown field (remove it)')
  expect(new WeftError('internal', 'broken').describe()).toBe('broken')
  expect(describeWhere({ line: 3 })).toBe('')
})

it('anything thrown becomes an error with its cause, and an error of ours stays itself', () => {
  const own = new WeftError('not_found', 'no such thing')
  expect(WeftError.from(own)).toBe(own)
  const cause = new TypeError('x is not a function')
  expect(WeftError.from(cause)).toMatchObject({ code: 'internal', message: 'x is not a function', cause })
  expect(WeftError.from('text', 'unavailable')).toMatchObject({ code: 'unavailable', message: 'text' })
})
