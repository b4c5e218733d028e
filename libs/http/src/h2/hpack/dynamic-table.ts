import { copyBytes } from '../../header-table.ts'

/** What the RFC adds to name and value for an entry's size (section 4.1). */
const entryOverhead = 32

/**
 * The dynamic table of one direction (RFC 7541 section 2.3.2). Entries stand in one buffer as the lines that a header table
 * holds (`name: value\r\n`), so that an indexed field is one copy. A place in the arrays is an entry's number, counted from
 * the first that was ever inserted, modulo their length.
 */
export class DynamicTable {
  bytes: Buffer
  lineStarts: Int32Array
  nameLengths: Int32Array
  valueLengths: Int32Array
  kinds: Uint8Array
  slots: Uint8Array
  /** The values of entries that were asked for as strings; '' with length 0 otherwise. */
  private texts: (string | null)[]
  private mask: number
  /** How many entries were ever inserted. */
  inserted = 0
  count = 0
  /** As the RFC counts. */
  size = 0
  maxSize: number
  private tail = 0

  constructor(maxSize: number) {
    this.maxSize = maxSize
    const places = placesFor(maxSize)
    this.mask = places - 1
    this.bytes = Buffer.allocUnsafeSlow(maxSize * 2)
    this.lineStarts = new Int32Array(places)
    this.nameLengths = new Int32Array(places)
    this.valueLengths = new Int32Array(places)
    this.kinds = new Uint8Array(places)
    this.slots = new Uint8Array(places)
    this.texts = new Array<string | null>(places).fill(null)
  }

  /** The place of the entry that dynamic index `index` (0: the newest) means; -1: there is none. */
  placeOf(index: number): number {
    return index < this.count ? (this.inserted - 1 - index) & this.mask : -1
  }

  /** The place of the entry with this number. */
  placeOfNumber(number: number): number {
    return number & this.mask
  }

  /** Whether the entry with this number is still there. */
  holds(number: number): boolean {
    return number >= this.inserted - this.count && number < this.inserted
  }

  lineLength(place: number): number {
    return this.nameLengths[place]! + this.valueLengths[place]! + 4
  }

  /** The value at a place as a string, made once. */
  textAt(place: number): string {
    const known = this.texts[place]
    if (known !== null && known !== undefined) return known
    const start = this.lineStarts[place]! + this.nameLengths[place]! + 2
    const text = this.bytes.latin1Slice(start, start + this.valueLengths[place]!)
    this.texts[place] = text
    return text
  }

  /** Adds an entry, evicting as many as it needs; one larger than the table empties it. */
  insert(
    nameBytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueBytes: Buffer,
    valueStart: number,
    valueEnd: number,
    kind: number,
    slot: number,
  ): boolean {
    const nameLength = nameEnd - nameStart
    const valueLength = valueEnd - valueStart
    const entrySize = nameLength + valueLength + entryOverhead
    this.evictTo(this.maxSize - entrySize)
    if (entrySize > this.maxSize) return false
    const lineLength = nameLength + valueLength + 4
    // Lines are shorter than the entries' sizes: after moving the live ones to the front there is room.
    if (this.tail + lineLength > this.bytes.length) this.moveToFront()
    const place = this.inserted & this.mask
    let at = this.tail
    this.lineStarts[place] = at
    at = copyBytes(nameBytes, nameStart, nameEnd, this.bytes, at)
    this.bytes[at++] = 58
    this.bytes[at++] = 32
    at = copyBytes(valueBytes, valueStart, valueEnd, this.bytes, at)
    this.bytes[at++] = 13
    this.bytes[at++] = 10
    this.tail = at
    this.nameLengths[place] = nameLength
    this.valueLengths[place] = valueLength
    this.kinds[place] = kind
    this.slots[place] = slot
    this.texts[place] = null
    this.inserted++
    this.count++
    this.size += entrySize
    return true
  }

  /** Another maximum (at most `capacity`, the one the table was made with). */
  resize(maxSize: number): void {
    this.maxSize = maxSize
    this.evictTo(maxSize)
  }

  private evictTo(size: number): void {
    while (this.count > 0 && this.size > size) {
      const place = (this.inserted - this.count) & this.mask
      this.size -= this.nameLengths[place]! + this.valueLengths[place]! + entryOverhead
      this.texts[place] = null
      this.count--
    }
  }

  private moveToFront(): void {
    if (this.count === 0) {
      this.tail = 0
      return
    }
    const from = this.lineStarts[(this.inserted - this.count) & this.mask]!
    this.bytes.copyWithin(0, from, this.tail)
    this.tail -= from
    for (let number = this.inserted - this.count; number < this.inserted; number++) {
      this.lineStarts[number & this.mask]! -= from
    }
  }
}

/** A power of two that is not less than the most entries. */
function placesFor(maxSize: number): number {
  let places = 8
  while (places < maxSize / entryOverhead + 1) places *= 2
  return places
}
