import { describe, expect, it } from 'vitest'
import { giveBuffer, takeBuffer } from './spare-buffers.ts'

describe('spare buffers', () => {
  it('are as large as is asked for, and used again', () => {
    const one = takeBuffer(70_000)
    expect(one.length).toBe(131_072)
    expect(takeBuffer(70_000)).not.toBe(one)
    giveBuffer(one)
    expect(takeBuffer(20_000)).not.toBe(one)
    expect(takeBuffer(131_072)).toBe(one)
  })

  it('are few', () => {
    const many = Array.from({ length: 20 }, () => takeBuffer(300_000))
    for (const buffer of many) giveBuffer(buffer)
    const again = new Set(Array.from({ length: 20 }, () => takeBuffer(300_000)))
    expect(many.filter((buffer) => again.has(buffer))).toHaveLength(4)
  })
})
