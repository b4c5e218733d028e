import { expect, it } from 'vitest'
import { compileJsonFormat } from './json-format.ts'
import { wireText } from './wire-text.ts'

it('escapes all of a string whose bytes are no UTF-8, and leaves the others as they are', () => {
  const tree = { bad: `${wireText('é')}\xff"`, good: wireText('ü') }
  const format = compileJsonFormat({ bad: '%LOCAL_REPLY_BODY%', good: 'ü' }, 'x', { keepTypes: true, omitEmpty: false })
  const line = format({ info: { localReplyBody: tree.bad } } as Parameters<typeof format>[0])
  expect(line).toBe(`{"bad":"\\u00c3\\u00a9\\u00ff\\"","good":"${tree.good}"}\n`)
})
