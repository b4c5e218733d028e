import { valueByte } from './h1/bytes.ts'
import type { HeaderCasing } from './header-casing.ts'
import { type HeaderName, markOf, names, sameBytes, slotGroups, slotNames, slotOf } from './header-name.ts'
import { shortText } from './latin1.ts'

/** Marks an entry whose bytes are one piece, above its slot. */
const whole = 0x80
const slotBits = 0x7f

const initialBytes = 1024
const initialHeaders = 24

/**
 * The headers of one message: ranges over a block of bytes, for every codec the same. Reading allocates nothing but the
 * string that is asked for; an edit writes behind the block and moves a range, and `write` copies untouched runs whole.
 * A table owns its bytes: they stay valid until `clear`. Names are lower case. Values are latin1 strings of their bytes.
 */
export class HeaderTable {
  /** The block as it came, and behind it what edits added. */
  buffer: Buffer = Buffer.allocUnsafeSlow(initialBytes)
  /** Bytes of `buffer` in use. */
  used = 0
  /** Entries, removed ones included: the valid indexes of `ranges` / 4. */
  entries = 0
  /** Four numbers an entry: name start (-1: removed), name end, value start, value end. */
  ranges: Int32Array = new Int32Array(initialHeaders * 4)
  /** Slot of each entry, and `whole` where its bytes are `name: value\r\n` in one piece. */
  private slots: Uint8Array = new Uint8Array(initialHeaders)
  /** Groups (`headerGroup`) that an entry was in since `clear`. */
  private groups = 0
  /** How HTTP/1.1 writes the names; null: as its codec is told. */
  casing: HeaderCasing | null = null
  /** A name that has a slot stands more than once. */
  repeated = false
  /** A text was put here that holds what no value may. */
  private suspect = false
  /** Slots that have an entry, a bit each, 32 in a number: most names that are asked for are not there, and this is all it takes. */
  private present0 = 0
  private present1 = 0
  private present2 = 0
  private present3 = 0
  /** Marks (`HeaderName.mark`) of the names without a slot that were added since `clear`. */
  private others = 0

  clear(): void {
    this.present0 = 0
    this.present1 = 0
    this.present2 = 0
    this.present3 = 0
    this.others = 0
    this.used = 0
    this.entries = 0
    this.groups = 0
    this.repeated = false
    this.suspect = false
    this.casing = null
    if (this.buffer.length > 65536) this.buffer = Buffer.allocUnsafeSlow(initialBytes)
  }

  /** Room for `size` more bytes behind `used`. */
  reserve(size: number): void {
    const need = this.used + size
    if (need <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(need, this.buffer.length * 2))
    this.buffer.copy(grown, 0, 0, this.used)
    this.buffer = grown
  }

  /**
   * Notes an entry whose bytes stand (or, for a decoder that copies the block afterwards, will stand) at these places
   * of `buffer`; `bytes` and `offset` say where they can be read now.
   */
  add(
    bytes: Uint8Array,
    offset: number,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
    isWhole: boolean,
  ): number {
    const slot = slotOf(bytes, nameStart + offset, nameEnd + offset)
    const mark = slot === 0 ? markOf(bytes, nameStart + offset, nameEnd + offset) : 0
    return this.addKnown(slot, mark, nameStart, nameEnd, valueStart, valueEnd, isWhole)
  }

  /** `add` of a name whose slot (0: none, and then its mark) is known. */
  addKnown(
    slot: number,
    mark: number,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
    isWhole: boolean,
  ): number {
    const index = this.entries++
    if (index >= this.slots.length) this.grow()
    const at = index * 4
    const ranges = this.ranges
    ranges[at] = nameStart
    ranges[at + 1] = nameEnd
    ranges[at + 2] = valueStart
    ranges[at + 3] = valueEnd
    this.slots[index] = isWhole ? slot | whole : slot
    if (slot === 0) this.others |= mark
    else if (this.isPresent(slot)) this.repeated = true
    else this.setPresent(slot)
    return slot
  }

  private isPresent(slot: number): boolean {
    const bits = slot < 64 ? (slot < 32 ? this.present0 : this.present1) : slot < 96 ? this.present2 : this.present3
    return ((bits >>> (slot & 31)) & 1) !== 0
  }

  private setPresent(slot: number): void {
    this.groups |= slotGroups[slot]!
    const bit = 1 << (slot & 31)
    if (slot < 32) this.present0 |= bit
    else if (slot < 64) this.present1 |= bit
    else if (slot < 96) this.present2 |= bit
    else this.present3 |= bit
  }

  private setAbsent(slot: number): void {
    const kept = ~(1 << (slot & 31))
    if (slot < 32) this.present0 &= kept
    else if (slot < 64) this.present1 &= kept
    else if (slot < 96) this.present2 &= kept
    else this.present3 &= kept
  }

  /** Whether a name of the group may be here: false is certain, true is not (it may be removed again). */
  mayHave(group: number): boolean {
    return (this.groups & group) !== 0
  }

  private grow(): void {
    const ranges = new Int32Array(this.ranges.length * 2)
    ranges.set(this.ranges)
    this.ranges = ranges
    const slots = new Uint8Array(this.slots.length * 2)
    slots.set(this.slots)
    this.slots = slots
  }

  /** Index of the first entry of this name, or of the next behind one that was found (`from`: the index behind it); -1: there is none. */
  find(name: HeaderName, from = 0): number {
    const { slot } = name
    if (slot === 0) return (this.others & name.mark) === 0 ? -1 : this.findOther(name, from)
    if (!this.isPresent(slot) || (from > 0 && !this.repeated)) return -1
    return this.findSlot(slot, from)
  }

  private findSlot(slot: number, from: number): number {
    const { slots, entries } = this
    for (let i = from; i < entries; i++) if ((slots[i]! & slotBits) === slot && this.ranges[i * 4]! >= 0) return i
    return -1
  }

  private findOther(name: HeaderName, from: number): number {
    const ranges = this.ranges
    for (let i = from; i < this.entries; i++) {
      const start = ranges[i * 4]!
      if (
        start >= 0 &&
        (this.slots[i]! & slotBits) === 0 &&
        sameBytes(name.bytes, this.buffer, start, ranges[i * 4 + 1]! - start)
      )
        return i
    }
    return -1
  }

  has(name: HeaderName): boolean {
    return this.find(name) >= 0
  }

  /** The first value of this name, or null. */
  get(name: HeaderName): string | null {
    const index = this.find(name)
    return index < 0 ? null : this.valueAt(index)
  }

  /** All values of this name, joined by a comma as matchers see them; null when there is none. */
  getAll(name: HeaderName, separator = ','): string | null {
    let index = this.find(name)
    if (index < 0) return null
    let value = this.valueAt(index)
    for (;;) {
      index = this.find(name, index + 1)
      if (index < 0) return value
      value += separator + this.valueAt(index)
    }
  }

  /** One entry, its values joined by commas, in place of several of the same name, where that is one of `single`. */
  joinRepeated(single: readonly HeaderName[]): void {
    for (const name of single) {
      const index = this.find(name)
      if (index >= 0 && this.find(name, index + 1) >= 0) this.set(name, this.getAll(name)!)
    }
  }

  /** How many entries have this name. */
  countOf(name: HeaderName): number {
    let count = 0
    for (let i = this.find(name); i >= 0; i = this.find(name, i + 1)) count++
    return count
  }

  /** The slot of the entry's name; 0: it has none. */
  slotAt(index: number): number {
    return this.slots[index]! & slotBits
  }

  nameAt(index: number): string {
    const slot = this.slotAt(index)
    if (slot !== 0) return slotNames[slot]!
    return this.buffer.latin1Slice(this.ranges[index * 4], this.ranges[index * 4 + 1])
  }

  valueAt(index: number): string {
    return this.buffer.latin1Slice(this.ranges[index * 4 + 2], this.ranges[index * 4 + 3])
  }

  /** Whether the entry's value is these bytes. */
  valueIs(index: number, bytes: Uint8Array): boolean {
    const start = this.ranges[index * 4 + 2]!
    return sameBytes(bytes, this.buffer, start, this.ranges[index * 4 + 3]! - start)
  }

  /** Puts one value in place of all there are (at the first one's place), or at the end. */
  set(name: HeaderName, value: string): void {
    const at = this.setRoom(name, value.length)
    this.put(value, at)
  }

  /** The same for bytes that may stand in a value. */
  setBytes(name: HeaderName, value: Uint8Array): void {
    let at = this.setRoom(name, value.length)
    const { buffer } = this
    for (let i = 0; i < value.length; i++) buffer[at++] = value[i]!
  }

  /** The same for a value of `length` bytes that the caller writes: gives its place in `buffer`. */
  setRoom(name: HeaderName, length: number): number {
    const index = this.find(name)
    if (index < 0) return this.appendRoom(name, length)
    for (let i = this.find(name, index + 1); i >= 0; i = this.find(name, i + 1)) this.ranges[i * 4] = -1
    return this.roomAt(index, length)
  }

  /** Another value for the entry at `index`. */
  setAt(index: number, value: string): void {
    const at = this.roomAt(index, value.length)
    this.put(value, at)
  }

  private put(value: string, at: number): void {
    const { buffer } = this
    const { length } = value
    if (length > shortText) buffer.latin1Write(value, at)
    for (let i = 0; i < length; i++) {
      if (length <= shortText) buffer[at + i] = value.charCodeAt(i)
      if (valueByte[buffer[at + i]!] === 0) this.suspect = true
    }
  }

  /**
   * Index of an entry whose text (not what came by a codec, which looks itself) holds control bytes: on a wire they would end
   * it early, and begin another header or message (RFC 9110 section 5.5). -1: there is none.
   */
  findBroken(): number {
    if (!this.suspect) return -1
    for (let i = 0; i < this.entries; i++) {
      if (this.ranges[i * 4]! < 0) continue
      const end = this.ranges[i * 4 + 3]!
      for (let at = this.ranges[i * 4 + 2]!; at < end; at++) if (valueByte[this.buffer[at]!] === 0) return i
    }
    return -1
  }

  /** Removes such entries. */
  removeBroken(): void {
    for (let i = this.findBroken(); i >= 0; i = this.findBroken()) this.removeAt(i)
  }

  private roomAt(index: number, length: number): number {
    this.reserve(length)
    const start = this.used
    this.used = start + length
    this.ranges[index * 4 + 2] = start
    this.ranges[index * 4 + 3] = this.used
    this.slots[index]! &= slotBits
    return start
  }

  /** One more entry, at the end. */
  append(name: HeaderName, value: string): void {
    const at = this.appendRoom(name, value.length)
    this.put(value, at)
  }

  /** One more entry whose value of `length` bytes the caller writes: gives its place in `buffer`. */
  appendRoom(name: HeaderName, length: number): number {
    const { bytes } = name
    const nameLength = bytes.length
    this.reserve(nameLength + length + 4)
    const { buffer } = this
    const start = this.used
    let at = start
    for (let i = 0; i < nameLength; i++) buffer[at++] = bytes[i]!
    buffer[at++] = 58
    buffer[at++] = 32
    const valueEnd = at + length
    buffer[valueEnd] = 13
    buffer[valueEnd + 1] = 10
    this.addKnown(name.slot, name.mark, start, start + nameLength, at, valueEnd, true)
    this.used = valueEnd + 2
    return at
  }

  /** Removes all entries of this name; says whether there was one. */
  remove(name: HeaderName): boolean {
    let index = this.find(name)
    if (index < 0) return false
    for (; index >= 0; index = this.find(name, index + 1)) this.ranges[index * 4] = -1
    if (name.slot !== 0) this.setAbsent(name.slot)
    return true
  }

  /** Whether a name holds an underscore. */
  hasUnderscore(): boolean {
    for (let i = 0; i < this.entries; i++) {
      if (this.ranges[i * 4]! < 0) continue
      for (let at = this.ranges[i * 4]!; at < this.ranges[i * 4 + 1]!; at++) if (this.buffer[at] === 95) return true
    }
    return false
  }

  /** Removes the one entry at `index`. */
  removeAt(index: number): void {
    this.ranges[index * 4] = -1
    const slot = this.slots[index]! & slotBits
    if (slot !== 0 && (!this.repeated || this.findSlot(slot, 0) < 0)) this.setAbsent(slot)
  }

  /** How many entries there are (removed ones not counted). */
  get size(): number {
    let size = 0
    for (let i = 0; i < this.entries; i++) if (this.ranges[i * 4]! >= 0) size++
    return size
  }

  /** Calls back for each entry in order. */
  forEach(visit: (name: string, value: string) => void): void {
    for (let i = 0; i < this.entries; i++) if (this.ranges[i * 4]! >= 0) visit(this.nameAt(i), this.valueAt(i))
  }

  /** Everything of another table, in order, at the end of this one. */
  copyFrom(other: HeaderTable): void {
    if (other.suspect) this.suspect = true
    const base = this.used
    this.reserve(other.used)
    other.buffer.copy(this.buffer, base, 0, other.used)
    this.used += other.used
    for (let i = 0; i < other.entries; i++) {
      const r = i * 4
      const start = other.ranges[r]!
      if (start < 0) continue
      const [nameEnd, valueStart, valueEnd] = [other.ranges[r + 1]!, other.ranges[r + 2]!, other.ranges[r + 3]!]
      this.add(this.buffer, 0, start + base, nameEnd + base, valueStart + base, valueEnd + base, other.slots[i]! >= whole)
    }
  }

  /** Bytes of all names and values, as limits count them (names, values, and four bytes a line). */
  get byteSize(): number {
    let size = 0
    for (let i = 0; i < this.entries; i++) {
      const r = i * 4
      if (this.ranges[r]! >= 0) size += this.ranges[r + 1]! - this.ranges[r]! + this.ranges[r + 3]! - this.ranges[r + 2]! + 4
    }
    return size
  }

  /** At least as many bytes as `write` will write. */
  get writeBound(): number {
    return this.used + 4 * this.entries
  }

  /** Writes `name: value\r\n` of every entry to `out` at `at`; gives the position behind. Untouched runs go as one copy. */
  write(out: Buffer, at: number): number {
    const { buffer, ranges, slots, entries } = this
    let runStart = 0
    let runEnd = 0
    for (let i = 0; i < entries; i++) {
      const r = i * 4
      const start = ranges[r]!
      if (start < 0) continue
      const valueEnd = ranges[r + 3]!
      if (slots[i]! >= whole) {
        if (start === runEnd) {
          runEnd = valueEnd + 2
          continue
        }
        if (runEnd > runStart) at = copyBytes(buffer, runStart, runEnd, out, at)
        runStart = start
        runEnd = valueEnd + 2
        continue
      }
      if (runEnd > runStart) at = copyBytes(buffer, runStart, runEnd, out, at)
      runStart = 0
      runEnd = 0
      at = copyBytes(buffer, start, ranges[r + 1]!, out, at)
      out[at++] = 58
      out[at++] = 32
      at = copyBytes(buffer, ranges[r + 2]!, valueEnd, out, at)
      out[at++] = 13
      out[at++] = 10
    }
    return runEnd > runStart ? copyBytes(buffer, runStart, runEnd, out, at) : at
  }
}

/** `write` with other than lower-case names. */
export function writeCased(table: HeaderTable, casing: HeaderCasing, out: Buffer, at: number): number {
  const { ranges } = table
  for (let i = 0; i < table.entries; i++) {
    if (ranges[i * 4]! < 0) continue
    at += out.latin1Write(casing.nameOf(table.nameAt(i)), at)
    out[at++] = 58
    out[at++] = 32
    at = copyBytes(table.buffer, ranges[i * 4 + 2]!, ranges[i * 4 + 3]!, out, at)
    out[at++] = 13
    out[at++] = 10
  }
  return at
}

/** Copies a range; a short one byte by byte, which costs less than the call of a native copy (measured: up to about 36 bytes). */
export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): number {
  if (end - start <= 36) {
    for (let i = start; i < end; i++) to[at++] = from[i]!
    return at
  }
  from.copy(to, at, start, end)
  return at + end - start
}

export { type HeaderName, headerName } from './header-name.ts'
export { names }
