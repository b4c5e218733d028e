import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ProxyHeader, readProxyHeader, writeProxyHeader } from './proxy-protocol.ts'

const signature = '\r\n\r\n\0\r\nQUIT\n'
const binary = (...bytes: number[]) => Buffer.concat([Buffer.from(signature, 'latin1'), Buffer.from(bytes)])
const client = { address: '10.1.2.3', port: 4567 }
const server = { address: '10.9.9.9', port: 80 }

describe('a PROXY header', () => {
  it('of version 1 names both ends', () => {
    const reading = readProxyHeader(Buffer.from('PROXY TCP4 10.1.2.3 10.9.9.9 4567 80\r\nGET /'))
    expect(reading).toEqual({
      type: 'header',
      header: { version: 1, addresses: { source: client, destination: server }, tlvs: [] },
      length: 38,
    })
  })

  it.each([
    ['PROXY TCP4 10.1.2.3 10.9.9.9 4567\r\n'],
    ['PROXY TCP4 300.1.2.3 10.9.9.9 4567 80\r\n'],
    ['PROXY TCP4 10.1.2.3 10.9.9.9 99999 80\r\n'],
    ['PROXY  TCP4 10.1.2.3 10.9.9.9 1 2\r\n'],
    ['PROXY TCP4 ::1 ::1 1 2\r\n'],
    ['PROXY FOO 10.1.2.3 10.9.9.9 1 2\r\n'],
    ['PROXY TCP4 255.255.255.255 10.9.9.9 1 2\r\n'],
    ['PROXY TCP4 10.1.2.3 224.0.0.1 1 2\r\n'],
    ['PROXY TCP6 :: ::1 1 2\r\n'],
    ['PROXY TCP6 ff02::1 ::1 1 2\r\n'],
    [`PROXY TCP4 10.1.2.3 10.9.9.9 4567 80${' '.repeat(100)}\r\n`],
  ])('%j is not valid', (line) => {
    expect(readProxyHeader(Buffer.from(line))).toMatchObject({ type: 'invalid', version: 1 })
  })

  it.each([
    ['another version', binary(0x31, 0x11, 0, 12, ...new Array<number>(12).fill(1))],
    ['another command', binary(0x22, 0x11, 0, 12, ...new Array<number>(12).fill(1))],
    ['another family', binary(0x21, 0x31, 0, 12, ...new Array<number>(12).fill(1))],
    ['too short for its addresses', binary(0x21, 0x11, 0, 2, 1, 1)],
    ['no single host', binary(0x21, 0x11, 0, 12, 0, 0, 0, 0, 10, 9, 9, 9, 0, 1, 0, 2)],
    ['a TLV that leads outside', binary(0x21, 0x11, 0, 15, ...new Array<number>(12).fill(1), 4, 0, 9)],
  ])('of version 2 with %s is not valid', (_what, bytes) => {
    expect(readProxyHeader(bytes)).toMatchObject({ type: 'invalid', version: 2 })
  })

  it('is waited for while it may still come, and no longer', () => {
    const whole = writeProxyHeader({ version: 2, addresses: { source: client, destination: server }, tlvs: [] })
    for (let length = 0; length < whole.length; length++)
      expect(readProxyHeader(whole.subarray(0, length))).toEqual({ type: 'more' })
    expect(readProxyHeader(Buffer.from('PROX'))).toEqual({ type: 'more' })
    expect(readProxyHeader(Buffer.from('POST / HTTP/1.1\r\n'))).toEqual({ type: 'none' })
  })

  it('reads as it was written, whatever follows', () => {
    const port = fc.integer({ min: 0, max: 65535 })
    const end = (address: fc.Arbitrary<string>) => fc.record({ address, port })
    const v4 = fc.ipV4().map((address) => address.replace(/^\d+/, '10'))
    const v6 = fc
      .array(fc.integer({ min: 1, max: 0xffff }), { minLength: 7, maxLength: 7 })
      .map((groups) => [0x2001, ...groups].map((one) => one.toString(16)).join(':'))
    const both = fc.oneof(
      fc.record({ source: end(v4), destination: end(v4) }),
      fc.record({ source: end(v6), destination: end(v6) }),
    )
    const tlvs = fc.array(fc.record({ type: fc.integer({ min: 0, max: 255 }), value: fc.uint8Array({ maxLength: 40 }) }))
    fc.assert(
      fc.property(both, tlvs, fc.constantFrom(1 as const, 2 as const), fc.uint8Array(), (addresses, list, version, rest) => {
        const header: ProxyHeader = {
          version,
          addresses,
          tlvs: version === 1 ? [] : list.map(({ type, value }) => ({ type, value: Buffer.from(value) })),
        }
        const bytes = writeProxyHeader(header)
        expect(readProxyHeader(Buffer.concat([bytes, rest]))).toEqual({ type: 'header', header, length: bytes.length })
      }),
    )
  })
})
