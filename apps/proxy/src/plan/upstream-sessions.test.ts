import { expect, test } from 'vitest'
import { UpstreamSessions } from './upstream-sessions.ts'

const [a, b, c] = ['a', 'b', 'c'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer]

test('the newest sessions are kept, as many as may be', () => {
  const sessions = new UpstreamSessions(2)
  for (const session of [a, b, c]) sessions.add('x.test', session, true)
  expect([sessions.take('x.test'), sessions.take('x.test'), sessions.take('x.test')]).toEqual([c, b, undefined])
  const none = new UpstreamSessions(0)
  none.add('x.test', a, false)
  expect(none.take('x.test')).toBeUndefined()
})

test('a session is for an endpoint of its name, and stays where it is good for more than one resumption', () => {
  const sessions = new UpstreamSessions(2)
  sessions.add('x.test', a, false)
  sessions.add('y.test', b, true)
  expect([sessions.take('x.test'), sessions.take('x.test')]).toEqual([a, a])
  expect([sessions.take('y.test'), sessions.take('y.test')]).toEqual([b, undefined])
})
