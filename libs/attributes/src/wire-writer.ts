const INITIAL_BYTES = 4096
/** Bytes that a length written afterwards takes: up to 2 MiB less one, in a varint that is padded to its place. */
const LENGTH_BYTES = 3
export const MAX_DELIMITED = (1 << (7 * LENGTH_BYTES)) - 1

/** Writes protobuf's wire format into one growing buffer. Numbers of fields are given as whole tags. */
export class WireWriter {
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES)
  position = 0

  /** Room for `size` more bytes. */
  reserve(size: number): void {
    if (this.position + size <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.position + size, this.#bytes.length * 2))
    this.#bytes.copy(grown, 0, 0, this.position)
    this.#bytes = grown
  }

  // The methods below up to `delimited` write into room that was reserved.

  byte(value: number): void {
    this.#bytes[this.position++] = value
  }

  /** A whole number from 0 up to 2^53 - 1. */
  varint(value: number): void {
    let rest = value
    while (rest > 0x7f) {
      this.#bytes[this.position++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.position++] = rest
  }

  /** A 32-bit number as sint32 codes it. */
  zigzag(value: number): void {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0
    while (rest > 0x7f) {
      this.#bytes[this.position++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#bytes[this.position++] = rest
  }

  /** A number as int64 codes it; ten bytes when it is negative. */
  int64(value: bigint): void {
    if (value >= 0n && value <= 0x1f_ffff_ffff_ffffn) {
      this.varint(Number(value))
      return
    }
    let rest = BigInt.asUintN(64, value)
    while (rest > 0x7fn) {
      this.#bytes[this.position++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#bytes[this.position++] = Number(rest)
  }

  double(value: number): void {
    this.position = this.#bytes.writeDoubleLE(value, this.position)
  }

  raw(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.position)
    this.position += bytes.length
  }

  /** A string with its tag and length; makes room itself. */
  string(tag: number, text: string): void {
    const length = Buffer.byteLength(text)
    this.reserve(length + 10)
    this.byte(tag)
    this.varint(length)
    this.position += this.#bytes.write(text, this.position, length, 'utf8')
  }

  /** Begins a field whose length is not known yet; makes room for tag and length. Give the result to `endDelimited`. */
  beginDelimited(tag: number): number {
    this.reserve(1 + LENGTH_BYTES)
    this.byte(tag)
    this.position += LENGTH_BYTES
    return this.position
  }

  /** Writes the length of a field begun before. */
  endDelimited(start: number): void {
    const length = this.position - start
    this.#bytes[start - 3] = (length & 0x7f) | 0x80
    this.#bytes[start - 2] = ((length >>> 7) & 0x7f) | 0x80
    this.#bytes[start - 1] = length >>> 14
  }

  /** Takes back what was written behind `position`. */
  rewind(position: number): void {
    this.position = position
  }

  /** What was written; stays valid until the next write. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.position)
  }
}
