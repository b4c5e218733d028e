import { describe, expect, test } from 'vitest'
import { Base64Pieces } from './base64-frames.ts'

const text = Buffer.from(Buffer.from('a gRPC message').toString('base64'))

describe('a body in base64', () => {
  test('is decoded however it is cut', () => {
    for (const size of [1, 3, 4, 7, text.length]) {
      const pieces = new Base64Pieces()
      const decoded: Buffer[] = []
      for (let at = 0; at < text.length; at += size)
        decoded.push(pieces.add(text.subarray(at, at + size), at + size >= text.length))
      expect(Buffer.concat(decoded).toString()).toBe('a gRPC message')
    }
  })

  test('may end in padding with each piece, and not within one', () => {
    expect(new Base64Pieces().add(Buffer.from('YQ=='), false).toString()).toBe('a')
    expect(() => new Base64Pieces().add(Buffer.from('YQ==YQ=='), false)).toThrow('no base64')
  })

  test('has no other characters, and is whole at its end', () => {
    expect(() => new Base64Pieces().add(Buffer.from('!!!!'), true)).toThrow('no base64')
    expect(() => new Base64Pieces().add(Buffer.from('YQ='), true)).toThrow('cut off')
  })
})
