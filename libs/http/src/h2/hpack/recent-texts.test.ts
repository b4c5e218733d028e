import fc from 'fast-check'
import { expect, it } from 'vitest'
import { RecentTexts } from './recent-texts.ts'

it('gives the text that was kept for the same bytes, and no other', () => {
  const literal = fc.uint8Array({ maxLength: 140 }).map((bytes) => {
    const length = bytes.length < 127 ? [bytes.length] : [127, bytes.length - 127]
    return Buffer.from([0, ...length, ...bytes])
  })
  fc.assert(
    fc.property(fc.array(literal, { maxLength: 40 }), (literals) => {
      const recent = new RecentTexts()
      for (const bytes of [...literals, ...literals]) {
        const text = recent.find(bytes, 1, bytes.length)
        if (text === null) recent.keep(bytes, 1, bytes.length, bytes.toString('hex'))
        else {
          expect(text).toBe(bytes.toString('hex'))
          expect(recent.foundLength).toBe(bytes.length - 1)
        }
      }
    }),
  )
})

it('finds what came last, unless it is cut off or long', () => {
  const recent = new RecentTexts()
  const path = Buffer.from('\0\x06/items', 'latin1')
  recent.keep(path, 1, path.length, '/items')
  expect(recent.find(path, 1, path.length)).toBe('/items')
  expect(recent.find(path, 1, path.length - 1)).toBeNull()
  const long = Buffer.concat([Buffer.from([0, 127, 73]), Buffer.alloc(200, 'x')])
  recent.keep(long, 1, long.length, 'long')
  expect(recent.find(long, 1, long.length)).toBeNull()
})
