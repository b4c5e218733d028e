import { expect, test } from 'vitest'
import { withAdditions } from './with-additions.ts'

const file = 'a.proto'
const text = `syntax = "proto3";
import "base.proto";
message Outer {
  message Rule {
    int32 limit = 1 [(validate.rules).int32 = {gt: 0}];
  }
}
message Rule {
}
`
const none = { fields: [], changes: [] }

test('a field goes into the declaration that its path names, with what it imports', () => {
  const fields = [{ file, imports: ['more.proto'], into: ['message Outer', 'message Rule'], lines: ['More more = 2;'] }]
  expect(withAdditions(file, text, { ...none, fields })).toBe(
    text
      .replace('import "base.proto";', 'import "more.proto";\nimport "base.proto";')
      .replace('    int32 limit', 'More more = 2;\n    int32 limit'),
  )
})

test('without a path it goes to the end, and a file of another name is left as it is', () => {
  const additions = { ...none, fields: [{ file, lines: ['message New {}'] }] }
  expect(withAdditions(file, text, additions)).toBe(`${text}\nmessage New {}\n`)
  expect(withAdditions('b.proto', text, additions)).toBe(text)
})

test('a change takes the place of what was there', () => {
  const changes = [{ file, from: ' [(validate.rules).int32 = {gt: 0}]', to: '' }]
  expect(withAdditions(file, text, { ...none, changes })).toContain('int32 limit = 1;')
})

test.each([
  ['a declaration', { ...none, fields: [{ file, into: ['message Gone'], lines: [] }] }, 'has no "message Gone {" to add to'],
  ['a text', { ...none, changes: [{ file, from: 'gone', to: '' }] }, 'has no "gone" to change'],
])('%s that is not there is an error', (_, additions, message) => {
  expect(() => withAdditions(file, text, additions)).toThrow(`${file} ${message}`)
})
