import { describe, expect, test } from 'vitest'
import { Hash64, murmurHash2, xxHash64 } from './hash64.ts'

const mask = (1n << 64n) - 1n
const p1 = 0x9e3779b185ebca87n
const p2 = 0xc2b2ae3d27d4eb4fn
const p3 = 0x165667b19e3779f9n
const p4 = 0x85ebca77c2b2ae63n
const p5 = 0x27d4eb2f165667c5n
const rotate = (x: bigint, r: bigint) => ((x << r) | (x >> (64n - r))) & mask

/** The specification in big integers. */
function reference(bytes: Buffer, seed = 0n): bigint {
  const round = (acc: bigint, input: bigint) => (rotate((acc + input * p2) & mask, 31n) * p1) & mask
  let at = 0
  let acc: bigint
  if (bytes.length >= 32) {
    const lanes = [seed + p1 + p2, seed + p2, seed, seed - p1].map((lane) => lane & mask)
    for (; at + 32 <= bytes.length; at += 32)
      for (let i = 0; i < 4; i++) lanes[i] = round(lanes[i]!, bytes.readBigUInt64LE(at + i * 8))
    acc = [1n, 7n, 12n, 18n].reduce((sum, turn, i) => (sum + rotate(lanes[i]!, turn)) & mask, 0n)
    for (const lane of lanes) acc = (((acc ^ round(0n, lane)) * p1) & mask) + p4
    acc &= mask
  } else acc = (seed + p5) & mask
  acc = (acc + BigInt(bytes.length)) & mask
  for (; at + 8 <= bytes.length; at += 8) {
    acc = (((rotate(acc ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * p1) & mask) + p4) & mask
  }
  if (at + 4 <= bytes.length) {
    acc = (((rotate(acc ^ ((BigInt(bytes.readUInt32LE(at)) * p1) & mask), 23n) * p2) & mask) + p3) & mask
    at += 4
  }
  for (; at < bytes.length; at++) acc = (rotate(acc ^ ((BigInt(bytes[at]!) * p5) & mask), 11n) * p1) & mask
  acc = ((acc ^ (acc >> 33n)) * p2) & mask
  acc = ((acc ^ (acc >> 29n)) * p3) & mask
  return acc ^ (acc >> 32n)
}

describe('64-bit hashes', () => {
  test('xxHash64 gives the published values', () => {
    const hash = new Hash64()
    expect(xxHash64('', hash).toHex()).toBe('ef46db3751d8e999')
    expect(xxHash64('a', hash).toHex()).toBe('d24ec4f1a98c6e5b')
    expect(xxHash64('abc', hash).toHex()).toBe('44bc2cf5ad770999')
  })

  test('xxHash64 follows its specification at every length and with a seed', () => {
    const bytes = Buffer.from(Array.from({ length: 200 }, (_, i) => (i * 167 + 13) & 0xff))
    const hash = new Hash64()
    for (let length = 0; length <= bytes.length; length++) {
      const part = bytes.subarray(0, length)
      expect(xxHash64(part.latin1Slice(), hash).toHex()).toBe(reference(part).toString(16).padStart(16, '0'))
      expect(xxHash64(part.latin1Slice(), hash, 0x12345678, 0x9abcdef0).toHex()).toBe(
        reference(part, 0x123456789abcdef0n).toString(16).padStart(16, '0'),
      )
    }
  })

  test('murmurHash2 gives what std::hash of libstdc++ gives', () => {
    const hash = new Hash64()
    // `std::hash<std::string>{}("")` is 6142509188972423790.
    expect(murmurHash2('', hash).toHex()).toBe('553e93901e462a6e')
  })

  test('a remainder is that of the whole 64-bit number', () => {
    const hash = new Hash64()
    let seed = 1
    const next = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0)
    for (let i = 0; i < 1000; i++) {
      hash.set(next(), next())
      const divisor = (next() % 5_000_011) + 1
      const whole = (BigInt(hash.hi) << 32n) | BigInt(hash.lo)
      expect(hash.modulo(divisor)).toBe(Number(whole % BigInt(divisor)))
    }
  })
})
