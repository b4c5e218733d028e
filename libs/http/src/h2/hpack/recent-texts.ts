const places = 16
const longest = 127

/**
 * String literals that came lately, by their coded bytes, so that one that comes again is neither decoded nor made a string
 * again. A few, each in the place that its bytes say.
 */
export class RecentTexts {
  private readonly coded: Buffer[] = new Array<Buffer>(places).fill(Buffer.alloc(0))
  private readonly texts: string[] = new Array<string>(places).fill('')
  /** The bytes that the literal found last takes, its length included. */
  foundLength = 0

  /** The text of the literal (RFC 7541 section 5.2) that begins at `start`; null: it is not kept, or not whole before `end`. */
  find(bytes: Buffer, start: number, end: number): string | null {
    const length = lengthAt(bytes, start, end)
    if (length === 0) return null
    const place = placeOf(bytes, start, length)
    const coded = this.coded[place]!
    if (coded.length !== length) return null
    for (let i = 0; i < length; i++) if (coded[i] !== bytes[start + i]) return null
    this.foundLength = length
    return this.texts[place]!
  }

  /** Keeps the text of the literal from `start` to `end`, unless it is long. */
  keep(bytes: Buffer, start: number, end: number, text: string): void {
    const length = lengthAt(bytes, start, end)
    if (length === 0) return
    const place = placeOf(bytes, start, length)
    this.coded[place] = Buffer.from(bytes.subarray(start, end))
    this.texts[place] = text
  }
}

/** Bytes of a short literal, its length in one byte included; 0 for others. */
function lengthAt(bytes: Buffer, start: number, end: number): number {
  if (start >= end) return 0
  const length = bytes[start]! & 0x7f
  return length < longest && start + 1 + length <= end ? length + 1 : 0
}

function placeOf(bytes: Buffer, start: number, length: number): number {
  return (length + bytes[start + (length >> 1)]! + 3 * bytes[start + length - 2]! + 7 * bytes[start + length - 1]!) & (places - 1)
}
