import { describe, expect, it } from 'vitest'
import { HeaderTable } from '../header-table.ts'
import { gatherHead, type HeadReader, keepRaw, tooLarge } from './gather-head.ts'
import { bad, HeadScanner, incomplete } from './head-scanner.ts'

const head = 'Host: a\r\nx-two: 2\r\n\r\n'
const sizes = Array.from({ length: head.length + 4 }, (_, index) => index + 1)

/** Gathers what comes `size` bytes at a time: the last answer, what it stands for in all that came, and the table. */
function gathered(text: string, size: number, max = 100): { at: number; table: HeaderTable; raw: string } {
  const table = new HeaderTable()
  const scanner = new HeadScanner()
  scanner.reset(true)
  const reader: HeadReader = { scanHead: (bytes, base, end) => scanner.scan(bytes, base, end, table, 10) }
  const bytes = Buffer.from(text)
  let raw: Buffer = Buffer.alloc(0)
  let at = incomplete
  for (let from = 0; from < bytes.length && at === incomplete; from += size) {
    const end = Math.min(bytes.length, from + size)
    raw = keepRaw(raw, table, bytes, from, end, max)
    at = gatherHead(reader, table, bytes, from, end, max)
  }
  return { at, table, raw: raw.toString() }
}

describe('a head that comes in pieces', () => {
  it.each(sizes)('of %i bytes is the same', (size) => {
    const { at, table } = gathered(`${head}body`, size)
    expect(at).toBe(head.length)
    expect(table.used).toBe(head.length)
    expect([0, 1].map((index) => [table.nameAt(index), table.valueAt(index)])).toEqual([
      ['host', 'a'],
      ['x-two', '2'],
    ])
  })

  it.each(sizes)('of %i bytes is too large from the same byte on', (size) => {
    expect(gathered(head, size, head.length).at).toBe(head.length)
    expect(gathered(head, size, head.length - 1).at).toBe(tooLarge)
  })

  it.each(sizes)('of %i bytes is bad all the same', (size) => {
    expect(gathered('a: 1\r\nb c: 2\r\n\r\n', size).at).toBe(bad)
  })

  it.each(sizes)('of %i bytes is kept as it came, besides', (size) => {
    expect(gathered(head, size).raw).toBe(head)
  })
})
