import { describe, expect, test } from 'vitest'
import { introduction, readIntroduction } from './peer-exchange.ts'

const exchange = { protocol: 'istio-peer-exchange', labels: new Set<string>() }
const node = { id: 'sidecar~1.2.3.4', metadata: { NAME: 'web-1', NAMESPACE: 'shop', LABELS: { app: 'web' } } }
const told = introduction(node, exchange)

describe('what a sidecar sends first', () => {
  test('begins with the magic number and a length, and says who it is', () => {
    expect(told.readUInt32BE(0)).toBe(1_025_705_063)
    expect(told.readUInt32BE(4)).toBe(told.length - 8)
    const found = readIntroduction(Buffer.concat([told, Buffer.from('hello')]), exchange)
    expect(found).toMatchObject({ bytes: told.length, peer: { name: 'web-1', namespace: 'shop', app: 'web' } })
  })

  test('is waited for however it is cut', () => {
    for (let length = 0; length < told.length; length++) expect(readIntroduction(told.subarray(0, length), exchange)).toBe('more')
  })

  test('may be missing, too long, or no message at all', () => {
    expect(readIntroduction(Buffer.from('GET / HTTP/1.1\r\n'), exchange)).toBe('none')
    const long = Buffer.from(told)
    long.writeUInt32BE(0xffff_ffff, 4)
    expect(readIntroduction(long, exchange)).toBe('none')
    const junk = Buffer.from(told)
    junk.fill(0xff, 8)
    expect(readIntroduction(junk, exchange)).toBe('none')
    const empty = Buffer.alloc(8)
    empty.writeUInt32BE(told.readUInt32BE(0), 0)
    expect(readIntroduction(empty, exchange)).toEqual({ bytes: 8, peer: null })
  })
})
