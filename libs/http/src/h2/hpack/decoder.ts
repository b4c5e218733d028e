import { markOf } from '../../header-name.ts'
import { copyBytes, type HeaderTable } from '../../header-table.ts'
import { DynamicTable } from './dynamic-table.ts'
import { fieldKind, firstPseudo, found, isBlank, isValidValue, kindOfName } from './field-kind.ts'
import { decodedBound, decodeHuffman } from './huffman.ts'
import { RecentTexts } from './recent-texts.ts'
import { staticCount, staticFields, staticIndexOf } from './static-table.ts'

/** Who takes a block's fields. */
export interface FieldReceiver {
  /** Where fields are put: a line is written behind `used`, and stays when it is accepted. */
  readonly table: HeaderTable
  /** No more ordinary fields are taken: a limit is reached, and they are not even copied. */
  readonly full: boolean
  /** A pseudo-header, or a field that no message may have; its value is there where the kind is one of a pseudo-header. */
  onSpecial(kind: number, value: string): void
  /** An ordinary field; true: its line stays. */
  onField(kind: number, lineLength: number, valueStart: number, valueEnd: number): boolean
}

const pathIndex = staticIndexOf.get(':path')!

// The static table in the dynamic one's form.
const statics = new DynamicTable(8192)
const staticTexts: string[] = ['']
for (const [name, value] of staticFields) {
  const bytes = Buffer.from(name + value, 'latin1')
  const kind = kindOfName(bytes, 0, name.length)
  statics.insert(bytes, 0, name.length, bytes, name.length, bytes.length, kind, found.slot)
  staticTexts.push(value)
}

/** Decodes header blocks (RFC 7541 section 3) straight into header tables, and keeps the peer's dynamic table. */
export class HpackDecoder {
  private readonly dynamic: DynamicTable
  /** The largest table size the peer may choose now. */
  private limit: number
  /** The peer has to say a smaller size at the start of its next block. */
  private mustShrink = false
  private at = 0
  private end = 0
  private readonly recent = new RecentTexts()

  /** `capacity`: the largest dynamic table that is ever allowed. */
  constructor(capacity: number, limit = capacity) {
    this.dynamic = new DynamicTable(capacity)
    this.limit = limit
    this.dynamic.resize(Math.min(4096, limit))
  }

  /** The largest dynamic table the peer may use from now on (our SETTINGS_HEADER_TABLE_SIZE, acknowledged). */
  setLimit(limit: number): void {
    this.limit = limit
    if (this.dynamic.maxSize > limit) this.mustShrink = true
  }

  /** Bytes of the dynamic table, as the RFC counts. */
  get tableSize(): number {
    return this.dynamic.size
  }

  /**
   * Decodes one whole block. False: it can't be decoded (COMPRESSION_ERROR), and this decoder is of no more use. What is
   * wrong with the fields as a message, the receiver judges: all of a block is decoded in any case, as later ones build on it.
   */
  decode(bytes: Buffer, start: number, end: number, fields: FieldReceiver): boolean {
    this.at = start
    this.end = end
    let first = true
    while (this.at < end) {
      const byte = bytes[this.at]!
      if (byte >= 0x80) {
        if (this.mustShrink) return false
        const index = this.integer(bytes, 0x7f)
        if (index <= 0 || index > staticCount + this.dynamic.count) return false
        if (fields.full) this.skipIndexed(bytes)
        else if (index <= staticCount) this.takeIndexed(statics, index - 1, fields, true)
        else this.takeIndexed(this.dynamic, this.dynamic.placeOf(index - staticCount - 1), fields, false)
        first = false
      } else if (byte >= 0x40) {
        if (this.mustShrink || !this.literal(bytes, 0x3f, true, fields)) return false
        first = false
      } else if (byte >= 0x20) {
        // Size updates come before everything else, and no more than two of them (section 4.2).
        if (!first) return false
        const size = this.integer(bytes, 0x1f)
        if (size < 0 || size > this.limit) return false
        this.dynamic.resize(size)
        this.mustShrink = false
      } else {
        if (this.mustShrink || !this.literal(bytes, 0x0f, false, fields)) return false
        first = false
      }
    }
    return true
  }

  /** Passes over fields that nobody takes and that are a byte each: thousands of them (an HPACK bomb) cost no more than other bytes. */
  private skipIndexed(bytes: Buffer): void {
    const last = 0x80 + Math.min(0x7e, staticCount + this.dynamic.count)
    const { end } = this
    let { at } = this
    while (at < end && bytes[at]! > 0x80 && bytes[at]! <= last) at++
    this.at = at
  }

  private takeIndexed(from: DynamicTable, place: number, fields: FieldReceiver, isStatic: boolean): void {
    const kind = from.kinds[place]!
    if (kind >= firstPseudo) {
      fields.onSpecial(kind, isStatic ? staticTexts[place + 1]! : kind <= fieldKind.status ? from.textAt(place) : '')
      return
    }
    const { table } = fields
    const lineLength = from.lineLength(place)
    const nameLength = from.nameLengths[place]!
    const lineStart = table.used
    const valueStart = lineStart + nameLength + 2
    const valueEnd = lineStart + lineLength - 2
    table.reserve(lineLength)
    const source = from.lineStarts[place]!
    copyBytes(from.bytes, source, source + lineLength, table.buffer, lineStart)
    if (!fields.onField(kind, lineLength, valueStart, valueEnd)) return
    table.used = lineStart + lineLength
    addTrimmed(table, from.slots[place]!, lineStart, lineStart + nameLength, valueStart, valueEnd)
  }

  private literal(bytes: Buffer, mask: number, index: boolean, fields: FieldReceiver): boolean {
    const nameIndex = this.integer(bytes, mask)
    if (nameIndex < 0) return false
    if (nameIndex === pathIndex && !index) return this.path(bytes, fields)
    const { table } = fields
    const lineStart = table.used
    let at = lineStart
    let kind = 0
    let slot = 0
    if (nameIndex === 0) {
      at = this.string(bytes, table, at)
      if (at < 0) return false
      kind = kindOfName(table.buffer, lineStart, at)
      slot = found.slot
    } else {
      let from = statics
      let place = nameIndex - 1
      if (nameIndex > staticCount) {
        from = this.dynamic
        place = from.placeOf(nameIndex - staticCount - 1)
        if (place < 0) return false
      }
      kind = from.kinds[place]!
      slot = from.slots[place]!
      const nameLength = from.nameLengths[place]!
      table.reserve(nameLength)
      const nameStart = from.lineStarts[place]!
      at = copyBytes(from.bytes, nameStart, nameStart + nameLength, table.buffer, at)
      // A bad value does not make the name bad.
      if (kind === fieldKind.invalidValue) kind = kindOfName(table.buffer, lineStart, at)
    }
    const nameEnd = at
    // Written bytes count as used until the field is judged, so that growing keeps them.
    table.used = at
    table.reserve(2)
    table.buffer[at++] = 58
    table.buffer[at++] = 32
    table.used = at
    const valueStart = at
    at = this.string(bytes, table, at)
    if (at < 0) {
      table.used = lineStart
      return false
    }
    const valueEnd = at
    if (kind < firstPseudo && !isValidValue(table.buffer, valueStart, valueEnd)) kind = fieldKind.invalidValue
    table.used = lineStart
    if (index) {
      this.dynamic.insert(table.buffer, lineStart, nameEnd, table.buffer, valueStart, valueEnd, kind, slot)
    }
    if (kind >= firstPseudo) {
      fields.onSpecial(kind, kind <= fieldKind.status ? table.buffer.latin1Slice(valueStart, valueEnd) : '')
      return true
    }
    if (fields.full || !fields.onField(kind, at + 2 - lineStart, valueStart, valueEnd)) return true
    table.used = at
    table.reserve(2)
    table.buffer[at++] = 13
    table.buffer[at++] = 10
    table.used = at
    addTrimmed(table, slot, lineStart, nameEnd, valueStart, valueEnd)
    return true
  }

  /** A path that is not to be indexed, as nghttp2 sends every one. */
  private path(bytes: Buffer, fields: FieldReceiver): boolean {
    const { table } = fields
    const { recent } = this
    const from = this.at
    const known = recent.find(bytes, from, this.end)
    if (known !== null) {
      this.at = from + recent.foundLength
      fields.onSpecial(fieldKind.path, known)
      return true
    }
    const start = table.used
    const end = this.string(bytes, table, start)
    if (end < 0) return false
    const text = table.buffer.latin1Slice(start, end)
    recent.keep(bytes, from, this.at, text)
    fields.onSpecial(fieldKind.path, text)
    return true
  }

  /** Reads a string literal (section 5.2) into the table's buffer at `to`; gives the position behind, or -1. */
  private string(bytes: Buffer, table: HeaderTable, to: number): number {
    if (this.at >= this.end) return -1
    const coded = bytes[this.at]! >= 0x80
    const length = this.integer(bytes, 0x7f)
    if (length < 0 || length > this.end - this.at) return -1
    const start = this.at
    const end = start + length
    this.at = end
    if (coded) {
      table.reserve(to - table.used + decodedBound(length))
      return decodeHuffman(bytes, start, end, table.buffer, to)
    }
    table.reserve(to - table.used + length)
    return copyBytes(bytes, start, end, table.buffer, to)
  }

  /** Reads an integer (section 5.1) whose prefix has the bits of `mask`; -1: not whole, or larger than any we take. */
  private integer(bytes: Buffer, mask: number): number {
    let value = bytes[this.at++]! & mask
    if (value < mask) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.at >= this.end) return -1
      const byte = bytes[this.at++]!
      value += (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    return -1
  }
}

/** Blanks around a value must not be there (RFC 9113 section 8.2.1): as with Envoy they go no further, and harm nobody. */
function addTrimmed(
  table: HeaderTable,
  slot: number,
  start: number,
  nameEnd: number,
  valueStart: number,
  valueEnd: number,
): void {
  const { buffer } = table
  let from = valueStart
  let to = valueEnd
  while (from < to && isBlank(buffer[from])) from++
  while (to > from && isBlank(buffer[to - 1])) to--
  table.addKnown(
    slot,
    slot === 0 ? markOf(table.buffer, start, nameEnd) : 0,
    start,
    nameEnd,
    from,
    to,
    from === valueStart && to === valueEnd,
  )
}
