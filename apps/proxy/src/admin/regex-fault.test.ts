import { describe, expect, test } from 'vitest'
import { compileRegex } from '../routing/matchers/regex.ts'
import { regexFault } from './regex-fault.ts'

describe('the fault of a regular expression', () => {
  test.each([
    ['(', 'missing ): ('],
    ['[', 'missing ]: ['],
    ['*', 'no argument for repetition operator: *'],
    ['(?=a)', 'invalid perl operator: (?='],
    ['\\d{1,2000}', 'invalid repetition size: {1,2000}'],
    ['a)', 'unexpected ): a)'],
  ])('of %j is told in RE2’s words', (pattern, fault) => {
    let told = ''
    try {
      compileRegex(pattern, 'filter')
    } catch (error) {
      told = regexFault(error)
    }
    expect(told).toBe(fault)
  })

  test('tells of other errors as they are', () => {
    expect(regexFault(new Error('too long'))).toBe('too long')
  })
})
