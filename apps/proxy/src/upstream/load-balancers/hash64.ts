/**
 * 64-bit hashes without BigInt: two 32-bit halves and products of 16-bit pieces, as a request with a hash policy makes one
 * or more of them. Text is latin1 (a character a byte), as header tables give it.
 */

/** A 64-bit number; both halves unsigned. */
export class Hash64 {
  hi = 0
  lo = 0

  set(hi: number, lo: number): this {
    this.hi = hi >>> 0
    this.lo = lo >>> 0
    return this
  }

  /** The remainder of a division; `divisor` up to 2^31. */
  modulo(divisor: number): number {
    // In two steps of 16 bits, so that no product leaves the safe integers.
    const high = this.hi % divisor
    const middle = (high * 0x10000 + (this.lo >>> 16)) % divisor
    return (middle * 0x10000 + (this.lo & 0xffff)) % divisor
  }

  /** Turns left by one bit and takes in another hash: how the policies of a route add up. */
  combine(other: Hash64): void {
    const hi = (this.hi << 1) | (this.lo >>> 31)
    const lo = (this.lo << 1) | (this.hi >>> 31)
    this.set(hi ^ other.hi, lo ^ other.lo)
  }

  toHex(): string {
    return ((BigInt(this.hi) << 32n) | BigInt(this.lo)).toString(16).padStart(16, '0')
  }
}

/** The accumulator of the operations below. */
let hi = 0
let lo = 0

function highOfProduct(a: number, b: number): number {
  const a0 = a & 0xffff
  const a1 = a >>> 16
  const b0 = b & 0xffff
  const b1 = b >>> 16
  const middle = a1 * b0 + ((a0 * b0) >>> 16)
  const other = a0 * b1 + (middle % 0x10000)
  return (a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(other / 0x10000)) >>> 0
}

function multiply(byHi: number, byLo: number): void {
  const high = (highOfProduct(lo, byLo) + Math.imul(hi, byLo) + Math.imul(lo, byHi)) >>> 0
  lo = Math.imul(lo, byLo) >>> 0
  hi = high
}

function add(otherHi: number, otherLo: number): void {
  const sum = lo + otherLo
  hi = (hi + otherHi + (sum > 0xffffffff ? 1 : 0)) >>> 0
  lo = sum >>> 0
}

/** By 1…31 bits. */
function rotateLeft(bits: number): void {
  const high = (hi << bits) | (lo >>> (32 - bits))
  lo = ((lo << bits) | (hi >>> (32 - bits))) >>> 0
  hi = high >>> 0
}

function xorShiftRight(bits: number): void {
  if (bits >= 32) {
    lo = (lo ^ (hi >>> (bits - 32))) >>> 0
    return
  }
  const low = (lo >>> bits) | (hi << (32 - bits))
  hi = (hi ^ (hi >>> bits)) >>> 0
  lo = (lo ^ low) >>> 0
}

function word(text: string, at: number): number {
  return (
    (text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8) | (text.charCodeAt(at + 2) << 16) | (text.charCodeAt(at + 3) << 24)) >>>
    0
  )
}

// The primes of xxHash64.
const prime1 = [0x9e3779b1, 0x85ebca87] as const
const prime2 = [0xc2b2ae3d, 0x27d4eb4f] as const
const prime3 = [0x165667b1, 0x9e3779f9] as const
const prime4 = [0x85ebca77, 0xc2b2ae63] as const
const prime5 = [0x27d4eb2f, 0x165667c5] as const

/** Takes eight bytes into the accumulator: `acc = rotl(acc + word * prime2, 31) * prime1`. */
function round(wordHi: number, wordLo: number): void {
  const accHi = hi
  const accLo = lo
  hi = wordHi
  lo = wordLo
  multiply(prime2[0], prime2[1])
  add(accHi, accLo)
  rotateLeft(31)
  multiply(prime1[0], prime1[1])
}

const lanes = new Uint32Array(8)

/** xxHash64 (the 64-bit variant of the xxHash specification) of latin1 text. */
export function xxHash64(text: string, into: Hash64, seedHi = 0, seedLo = 0): Hash64 {
  const { length } = text
  let at = 0
  if (length >= 32) {
    startLanes(seedHi, seedLo)
    for (; at + 32 <= length; at += 32) {
      for (let lane = 0; lane < 4; lane++) {
        hi = lanes[lane * 2]!
        lo = lanes[lane * 2 + 1]!
        round(word(text, at + lane * 8 + 4), word(text, at + lane * 8))
        lanes[lane * 2] = hi
        lanes[lane * 2 + 1] = lo
      }
    }
    mergeLanes()
  } else {
    hi = seedHi
    lo = seedLo
    add(prime5[0], prime5[1])
  }
  add(0, length)
  for (; at + 8 <= length; at += 8) {
    const accHi = hi
    const accLo = lo
    hi = 0
    lo = 0
    round(word(text, at + 4), word(text, at))
    hi = (hi ^ accHi) >>> 0
    lo = (lo ^ accLo) >>> 0
    rotateLeft(27)
    multiply(prime1[0], prime1[1])
    add(prime4[0], prime4[1])
  }
  if (at + 4 <= length) {
    mixIn(word(text, at), prime1)
    rotateLeft(23)
    multiply(prime2[0], prime2[1])
    add(prime3[0], prime3[1])
    at += 4
  }
  for (; at < length; at++) {
    mixIn(text.charCodeAt(at) & 0xff, prime5)
    rotateLeft(11)
    multiply(prime1[0], prime1[1])
  }
  xorShiftRight(33)
  multiply(prime2[0], prime2[1])
  xorShiftRight(29)
  multiply(prime3[0], prime3[1])
  xorShiftRight(32)
  return into.set(hi, lo)
}

function startLanes(seedHi: number, seedLo: number): void {
  const put = (lane: number): void => {
    lanes[lane * 2] = hi
    lanes[lane * 2 + 1] = lo
    hi = seedHi
    lo = seedLo
  }
  hi = seedHi
  lo = seedLo
  add(prime1[0], prime1[1])
  add(prime2[0], prime2[1])
  put(0)
  add(prime2[0], prime2[1])
  put(1)
  put(2)
  // seed - prime1, as the addition of its two's complement.
  add(~prime1[0] >>> 0, (~prime1[1] + 1) >>> 0)
  put(3)
}

function mergeLanes(): void {
  hi = 0
  lo = 0
  const turns = [1, 7, 12, 18]
  let sumHi = 0
  let sumLo = 0
  for (let lane = 0; lane < 4; lane++) {
    hi = lanes[lane * 2]!
    lo = lanes[lane * 2 + 1]!
    rotateLeft(turns[lane]!)
    add(sumHi, sumLo)
    sumHi = hi
    sumLo = lo
  }
  for (let lane = 0; lane < 4; lane++) {
    hi = 0
    lo = 0
    round(lanes[lane * 2]!, lanes[lane * 2 + 1]!)
    hi = (hi ^ sumHi) >>> 0
    lo = (lo ^ sumLo) >>> 0
    multiply(prime1[0], prime1[1])
    add(prime4[0], prime4[1])
    sumHi = hi
    sumLo = lo
  }
}

function mixIn(value: number, by: readonly [number, number]): void {
  const accHi = hi
  const accLo = lo
  hi = 0
  lo = value
  multiply(by[0], by[1])
  hi = (hi ^ accHi) >>> 0
  lo = (lo ^ accLo) >>> 0
}

const murmurPrime = [0xc6a4a793, 0x5bd1e995] as const
/** Of libstdc++'s `std::hash`, which is how Envoy's MURMUR_HASH_2 is seeded. */
const murmurSeed = 0xc70f6907

/** 64-bit MurmurHash2 of latin1 text, as libstdc++ hashes strings. */
export function murmurHash2(text: string, into: Hash64): Hash64 {
  const { length } = text
  hi = 0
  lo = length
  multiply(murmurPrime[0], murmurPrime[1])
  lo = (lo ^ murmurSeed) >>> 0
  let at = 0
  for (; at + 8 <= length; at += 8) {
    const accHi = hi
    const accLo = lo
    hi = word(text, at + 4)
    lo = word(text, at)
    multiply(murmurPrime[0], murmurPrime[1])
    xorShiftRight(47)
    multiply(murmurPrime[0], murmurPrime[1])
    hi = (hi ^ accHi) >>> 0
    lo = (lo ^ accLo) >>> 0
    multiply(murmurPrime[0], murmurPrime[1])
  }
  if (at < length) {
    let restHi = 0
    let restLo = 0
    for (let i = length - 1; i >= at; i--) {
      restHi = ((restHi << 8) | (restLo >>> 24)) >>> 0
      restLo = ((restLo << 8) | (text.charCodeAt(i) & 0xff)) >>> 0
    }
    hi = (hi ^ restHi) >>> 0
    lo = (lo ^ restLo) >>> 0
    multiply(murmurPrime[0], murmurPrime[1])
  }
  xorShiftRight(47)
  multiply(murmurPrime[0], murmurPrime[1])
  xorShiftRight(47)
  return into.set(hi, lo)
}

/** Text as its UTF-8 bytes in latin1 characters, for what is not from a header. */
export function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
