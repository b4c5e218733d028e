/**
 * The Huffman code of HPACK (RFC 7541 appendix B). It is canonical: within a length, codes count up in the order of the
 * symbols, so that the lengths are all there is to know.
 */

/** Bits of each symbol's code; 256 is EOS. */
const codeLengths = new Uint8Array(257)
const runs: readonly (readonly [bits: number, symbols: string | readonly (number | readonly [number, number])[]])[] = [
  [5, '012aceiost'],
  [6, ' %-./3456789=A_bdfghlmnpru'],
  [7, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, '&*,;XZ'],
  [10, '!"()?'],
  [11, "'+|"],
  [12, '#>'],
  [13, [0, 36, 64, 91, 93, 126]],
  [14, '^}'],
  [15, '<`{'],
  [19, [92, 195, 208]],
  [20, [128, 130, 131, 162, 184, 194, 224, 226]],
  [21, [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]],
  [
    22,
    [129, [132, 134], 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, [185, 187], 189, 190, 196, 198, 228, 232, 233],
  ],
  [
    23,
    [1, 135, [137, 141], 143, 147, [149, 152], 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239],
  ],
  [24, [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]],
  [25, [199, 207, 234, 235]],
  [26, [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]],
  [27, [203, 204, 211, 212, 214, 221, 222, 223, 241, [244, 248], [250, 254]]],
  [28, [[2, 8], 11, 12, [14, 21], [23, 31], 127, 220, 249]],
  [30, [10, 13, 22, 256]],
]
for (const [bits, symbols] of runs) {
  if (typeof symbols === 'string') for (const char of symbols) codeLengths[char.charCodeAt(0)] = bits
  else {
    for (const one of symbols) {
      const [first, last] = typeof one === 'number' ? [one, one] : one
      for (let symbol = first; symbol <= last; symbol++) codeLengths[symbol] = bits
    }
  }
}

const maxBits = 30
const endOfString = 256
const codes = new Uint32Array(257)
/** Symbols in the order of their codes. */
const ordered = new Uint16Array(257)
/** Of each length: its first code, how many codes it has, and where its symbols begin in `ordered`. */
const firstCode = new Uint32Array(maxBits + 1)
const countOf = new Uint16Array(maxBits + 1)
const orderedFrom = new Uint16Array(maxBits + 1)
/** Codes of at most 8 bits, found by the next 8 bits: length << 8 | symbol; 0: longer (found bit by bit, by length). */
const shortCodes = new Uint16Array(256)
const shortBits = 8

let code = 0
let place = 0
for (let bits = 1; bits <= maxBits; bits++) {
  code <<= 1
  firstCode[bits] = code
  orderedFrom[bits] = place
  for (let symbol = 0; symbol <= 256; symbol++) {
    if (codeLengths[symbol] !== bits) continue
    codes[symbol] = code
    ordered[place++] = symbol
    if (bits <= shortBits) {
      const spread = 1 << (shortBits - bits)
      for (let i = 0; i < spread; i++) shortCodes[(code << (shortBits - bits)) + i] = (bits << 8) | symbol
    }
    code++
    countOf[bits]!++
  }
}

/** The most bytes that `length` coded bytes can stand for. */
export function decodedBound(length: number): number {
  return ((length * 8) / 5) | 0
}

/**
 * Decodes `bytes` from `start` to `end` into `out` at `at`, where there is room for `decodedBound`. Gives the position
 * behind, or -1 for what section 5.2 of the RFC refuses: EOS, and padding of more than 7 bits or of other bits than EOS's.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  // Positions in bits; 2^28 bytes of one string would be too many, and no block is as long.
  let bit = start * 8
  const last = end * 8
  while (bit < last) {
    const i = bit >> 3
    // Behind the end stand ones, as padding is.
    const next = i + 1 < end ? bytes[i + 1]! : 0xff
    const found = shortCodes[(((bytes[i]! << 8) | next) >> (8 - (bit & 7))) & 0xff]!
    if (found !== 0) {
      const behind = bit + (found >> 8)
      if (behind > last) break
      out[at++] = found & 0xff
      bit = behind
      continue
    }
    const symbol = longSymbol(bytes, bit, last)
    if (symbol < 0) break
    if (symbol === endOfString) return -1
    out[at++] = symbol
    bit += codeLengths[symbol]!
  }
  const rest = last - bit
  if (rest === 0) return at
  const ones = (1 << rest) - 1
  return rest < 8 && (bytes[end - 1]! & ones) === ones ? at : -1
}

/** The symbol whose code of more than 8 bits begins at `from`; -1: none ends before `last`. */
function longSymbol(bytes: Uint8Array, from: number, last: number): number {
  let value = 0
  const most = Math.min(last, from + maxBits)
  for (let bit = from; bit < most; bit++) {
    value = (value << 1) | ((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1)
    const length = bit - from + 1
    if (length <= shortBits) continue
    const offset = value - firstCode[length]!
    if (offset >= 0 && offset < countOf[length]!) return ordered[orderedFrom[length]! + offset]!
  }
  return -1
}

/** Bytes that the range takes when it is coded. */
export function huffmanLength(bytes: Uint8Array, start: number, end: number): number {
  let bits = 0
  for (let i = start; i < end; i++) bits += codeLengths[bytes[i]!]!
  return (bits + 7) >> 3
}

/** Codes a range into `out` at `at`; gives the position behind. */
export function encodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let held = 0
  let bits = 0
  for (let i = start; i < end; i++) {
    const symbol = bytes[i]!
    const length = codeLengths[symbol]!
    const value = codes[symbol]!
    if (length > 24) {
      // Up to 7 bits are held: 30 more would not fit in 32.
      const low = length - 15
      held = (held << 15) | (value >>> low)
      bits += 15
      while (bits >= 8) {
        bits -= 8
        out[at++] = held >>> bits
      }
      held = ((held & 0xff) << low) | (value & ((1 << low) - 1))
      bits += low
    } else {
      held = (held << length) | value
      bits += length
    }
    while (bits >= 8) {
      bits -= 8
      out[at++] = held >>> bits
    }
    held &= 0xff
  }
  if (bits > 0) out[at++] = (held << (8 - bits)) | ((1 << (8 - bits)) - 1)
  return at
}
