import { KeyValueAppend_KeyValueAppendAction as Action, KeyValueMutation } from '@weft/contracts/envoy/config/core/v3/base'
import { describe, expect, test } from 'vitest'
import { FakeStream } from '../fake-stream.ts'
import { compileQueryEdits, editQuery } from './query-edit.ts'

function edited(path: string, ...mutations: Parameters<typeof KeyValueMutation.fromPartial>[0][]): string {
  const edits = compileQueryEdits(
    mutations.map((one) => KeyValueMutation.fromPartial(one)),
    'test',
  )
  return editQuery(edits, new FakeStream().format, path)
}

const append = (key: string, value: string, action: Action = Action.APPEND_IF_EXISTS_OR_ADD) => ({
  append: { record: { key, value }, action },
})

describe('edits of a query', () => {
  test('add parameters behind those that are there', () => {
    expect(edited('/p?a=1', append('a', '2'), append('b', '3'))).toBe('/p?a=1&a=2&b=3')
    expect(edited('/p', append('a', '%REQ(:METHOD)%'))).toBe('/p?a=GET')
  })

  test('replace, or keep what is there', () => {
    expect(edited('/p?a=1&b=2', append('a', '3', Action.OVERWRITE_IF_EXISTS_OR_ADD))).toBe('/p?a=3&b=2')
    expect(edited('/p?b=2', append('a', '3', Action.OVERWRITE_IF_EXISTS))).toBe('/p?b=2')
    expect(edited('/p?a=1', append('a', '3', Action.ADD_IF_ABSENT))).toBe('/p?a=1')
  })

  test('remove, and take the question mark with the last', () => {
    expect(edited('/p?a=1&a=2', { remove: 'a' })).toBe('/p')
  })

  test('know a name behind its escapes, and escape what they write', () => {
    expect(edited('/p?%61=1&b=%41%20%26', { remove: 'a' })).toBe('/p?b=A%20%26')
    expect(edited('/p?a%20b=1', append('a b', '3', Action.ADD_IF_ABSENT))).toBe('/p?a%20b=1')
    expect(edited('/p', append('n m', 'x & 100%%'))).toBe('/p?n%20m=x%20%26%20100%25')
    expect(edited('/p?z=%2&&', append('n[]', '~*'))).toBe('/p?=&n[]=%7E*&z=%2')
  })

  test('are one thing or the other', () => {
    expect(() => edited('/p', { ...append('a', '1'), remove: 'a' })).toThrow(/only one of append and remove/)
  })
})
