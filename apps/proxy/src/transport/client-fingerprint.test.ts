import { expect, test } from 'vitest'
import { fingerprintsOf } from './client-fingerprint.ts'

const u16 = (...words: number[]): Buffer => Buffer.concat(words.map((word) => Buffer.of(word >> 8, word & 255)))
const extension = (type: number, body: Buffer): Buffer => Buffer.concat([u16(type, body.length), body])
const list = (type: number, ...words: number[]): Buffer => extension(type, Buffer.concat([u16(words.length * 2), u16(...words)]))
const names = (text: string): Buffer =>
  extension(16, Buffer.concat([u16(text.length + 1), Buffer.of(text.length), Buffer.from(text)]))

function hello(ciphers: readonly number[], extensions: readonly Buffer[] | null, version = 0x0303): Buffer {
  const parts = [u16(version), Buffer.alloc(32), Buffer.of(0), u16(ciphers.length * 2, ...ciphers), Buffer.of(1, 0)]
  if (extensions !== null) {
    const all = Buffer.concat(extensions)
    parts.push(u16(all.length), all)
  }
  return Buffer.concat(parts)
}

const usual = [0x1301, 0xc02f]

// What Envoy 1.40 logged of the same hellos.
test.each([
  ['without extensions', hello(usual, null), '6ac28f635e78b6e59638f7a1e035f458', 't12i020000_c1929292aa6b_000000000000'],
  [
    'with values that mean nothing',
    hello(usual, [
      extension(0, Buffer.from('\0\x09\0\0\x06a.test', 'latin1')),
      extension(16, Buffer.from('\0\x0c\x02h2\x08http/1.1', 'latin1')),
      list(10, 0x1a1a, 29, 23),
      extension(11, Buffer.of(2, 0, 1)),
      list(13, 0x0403, 0x0a0a, 0x0804),
      extension(43, Buffer.concat([Buffer.of(6), u16(0x2a2a, 0x0304, 0x0303)])),
      extension(0x3a3a, Buffer.of()),
      extension(23, Buffer.of()),
      extension(65281, Buffer.of(0)),
    ]),
    'fc915d362e0237bdb2ba86c0b25e97fe',
    't13d0208h2_c1929292aa6b_bc850400ee6c',
  ],
  [
    'of TLS 1.0',
    hello(usual, [extension(23, Buffer.of())], 0x0301),
    '02fe7fd54419bc280cceedc5476a3d01',
    't10i020100_c1929292aa6b_1ca028f07214',
  ],
  [
    'with one letter of ALPN',
    hello(usual, [names('h')]),
    '361b5573bf5e601ff48f26f08b28093e',
    't12i0201hh_c1929292aa6b_000000000000',
  ],
  [
    'with a strange ALPN',
    hello(usual, [extension(16, Buffer.of(0, 3, 2, 0x30, 0xab))]),
    '361b5573bf5e601ff48f26f08b28093e',
    't12i02013b_c1929292aa6b_000000000000',
  ],
  [
    'without ciphers that mean something',
    hello([0x0a0a, 0x1a1a], [extension(23, Buffer.of())]),
    'ca366077e45adcdb7a3d464db92c85f1',
    't12i000100_000000000000_1ca028f07214',
  ],
  [
    'with a hundred ciphers',
    hello(
      Array.from({ length: 109 }, (_, i) => i + 1),
      [list(13, 0x0403)],
    ),
    'e10b197d9dd0b33172010ea2035ed63f',
    't12i990100_9e3760398617_79c50902419d',
  ],
])('a hello %s has the fingerprints that others give it', (_, bytes, ja3, ja4) => {
  expect(fingerprintsOf(bytes)).toEqual({ ja3, ja4 })
})
