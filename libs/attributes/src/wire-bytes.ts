import { WeftError } from '@weft/service/errors'

const MAX_VARINT_BYTES = 10

/** Protobuf's wire types, as far as proto3 uses them. */
export const WIRE_VARINT = 0
export const WIRE_FIXED64 = 1
export const WIRE_BYTES = 2
const WIRE_FIXED32 = 5

/**
 * Reads protobuf's wire format in place: no objects between the bytes and their reader. Throws `invalid_argument` for
 * bytes that are no message; never reads past `end`.
 */
export class WireBytes {
  readonly #bytes: Buffer
  position: number
  readonly end: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.position = start
    this.end = end
  }

  /** A varint of which only the low 32 bits count, unsigned: tags, lengths, int32, bool. */
  uint32(): number {
    const first = this.#byte()
    if (first < 0x80) return first
    let value = first & 0x7f
    for (let index = 1; index < MAX_VARINT_BYTES; index++) {
      const byte = this.#byte()
      if (index < 5) value |= (byte & 0x7f) << (7 * index)
      if (byte < 0x80) return value >>> 0
    }
    throw malformed('a number has more than 10 bytes')
  }

  /** A zigzag-coded 32-bit number. */
  sint32(): number {
    const coded = this.uint32()
    return (coded >>> 1) ^ -(coded & 1)
  }

  /** A 64-bit number, exact. */
  int64(): bigint {
    const start = this.position
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte()
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return BigInt(low)
    }
    let high = 0
    for (let shift = 0; shift < 21; shift += 7) {
      const byte = this.#byte()
      high |= (byte & 0x7f) << shift
      if (byte < 0x80) return BigInt(high * 0x1000_0000 + low)
    }
    this.position = start
    let exact = 0n
    for (let index = 0; index < MAX_VARINT_BYTES; index++) {
      const byte = this.#byte()
      exact |= BigInt(byte & 0x7f) << BigInt(7 * index)
      if (byte < 0x80) return BigInt.asIntN(64, exact)
    }
    throw malformed('a number has more than 10 bytes')
  }

  double(): number {
    const at = this.#take(8)
    return this.#bytes.readDoubleLE(at)
  }

  /** The end of the length-delimited field that begins here; its content begins at `position`. */
  fieldEnd(): number {
    const length = this.uint32()
    const end = this.position + length
    if (end > this.end) throw malformed('a field is longer than its message')
    return end
  }

  string(): string {
    const end = this.fieldEnd()
    const text = this.#bytes.toString('utf8', this.position, end)
    this.position = end
    return text
  }

  /** A copy, so that a small value does not keep a large message. */
  bytes(): Uint8Array {
    const end = this.fieldEnd()
    const copy = Uint8Array.prototype.slice.call(this.#bytes, this.position, end)
    this.position = end
    return copy
  }

  /** The field's content as a part of these bytes, not copied. */
  view(): Uint8Array {
    const end = this.fieldEnd()
    const view = this.#bytes.subarray(this.position, end)
    this.position = end
    return view
  }

  /** Passes over the value of a field of this wire type. */
  skip(wireType: number): void {
    switch (wireType) {
      case WIRE_VARINT:
        this.uint32()
        return
      case WIRE_FIXED64:
        this.#take(8)
        return
      case WIRE_BYTES:
        this.position = this.fieldEnd()
        return
      case WIRE_FIXED32:
        this.#take(4)
        return
      default:
        throw malformed(`wire type ${wireType} is not one of proto3`)
    }
  }

  #byte(): number {
    if (this.position >= this.end) throw malformed('it ends in the middle of a field')
    return this.#bytes[this.position++] ?? 0
  }

  #take(size: number): number {
    const at = this.position
    if (at + size > this.end) throw malformed('it ends in the middle of a field')
    this.position = at + size
    return at
  }
}

function malformed(what: string): WeftError {
  return new WeftError('invalid_argument', `the message is not protobuf: ${what}`)
}
