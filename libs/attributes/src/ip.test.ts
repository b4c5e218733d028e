import { describe, expect, it } from 'vitest'
import { equalIp, formatIp, parseIp } from './ip.ts'

describe('IP addresses', () => {
  it.each([
    ['1.2.3.4', '1.2.3.4'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8::8:800:200c:417a', '2001:db8::8:800:200c:417a'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['fe80::1:0', 'fe80::1:0'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ])('reads %s and prints %s', (text, printed) => {
    const bytes = parseIp(text)
    expect(bytes && formatIp(bytes)).toBe(printed)
  })

  it.each([
    '',
    '1.2.3',
    '1.2.3.256',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '1.2.3.4.5',
    '1.2.3.04',
    '1.2.3.4 ',
    '0.0.0.-1',
    '01.2.3.4x',
    'fe80::1%eth0',
    'localhost',
    '1.2.3.4/8',
  ])('refuses %s', (text) => {
    expect(parseIp(text)).toBeUndefined()
  })

  it('takes an IPv4 address and its mapped form as one', () => {
    const plain = Uint8Array.of(127, 0, 0, 1)
    const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1)
    expect(equalIp(plain, mapped)).toBe(true)
    expect(equalIp(plain, Uint8Array.of(127, 0, 0, 2))).toBe(false)
    expect(equalIp(plain, Uint8Array.of(127))).toBe(false)
  })

  it('prints what is no address without failing', () => {
    expect(formatIp(Uint8Array.of(1, 2, 3))).toBe('?010203')
  })
})
