import { expect, it } from 'vitest'
import { KeptBody } from './kept-body.ts'

it('a body of more bytes than may be kept is kept no longer', () => {
  const body = new KeptBody()
  body.begin()
  body.forRetries = true
  const bytes = Buffer.from('abcdef')
  expect(body.add(bytes, 0, 4, 5)).toBe(true)
  // Its bytes are its own.
  bytes.fill(0)
  expect(Buffer.concat(body.pieces).toString()).toBe('abcd')
  expect(body.add(bytes, 0, 1, 5)).toBe(true)
  expect(body.add(bytes, 0, 1, 5)).toBe(false)
  expect({ pieces: body.pieces.length, bytes: body.bytes, kept: body.forRetries }).toEqual({ pieces: 0, bytes: 0, kept: false })
})

it('one that ended with the head is none until the next request', () => {
  const body = new KeptBody()
  body.ended = body.none = true
  body.begin()
  expect([body.ended, body.none]).toEqual([false, false])
})
