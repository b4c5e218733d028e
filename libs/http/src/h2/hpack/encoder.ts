import { headerName, slotCount } from '../../header-name.ts'
import { copyBytes, type HeaderTable } from '../../header-table.ts'
import { DynamicTable } from './dynamic-table.ts'
import { staysBehind } from './field-kind.ts'
import { encodeHuffman, huffmanLength } from './huffman.ts'
import { staticCount, staticIndexOf } from './static-table.ts'

/** Entries are found by hash in tables of this many places; one that pushes another out costs a few bytes, no more. */
const hashPlaces = 512

/** Static index of the name of each slot; 0: none. */
const staticOfSlot = new Uint8Array(slotCount)
/** 1: never indexed, nor by whoever sends it on (RFC 7541 section 7.1.3): secrets that could be guessed by size. */
const neverIndexed = new Uint8Array(slotCount)
for (const [name, index] of staticIndexOf) {
  const { slot } = headerName(name)
  if (slot !== 0) staticOfSlot[slot] = index
}
for (const name of ['authorization', 'set-cookie']) neverIndexed[headerName(name).slot] = 1
/** 1: values that never come again, nor get shorter by Huffman codes: ids of requests and traces. */
const isId = new Uint8Array(slotCount)
for (const name of ['x-request-id', 'traceparent', 'b3', 'x-b3-traceid', 'x-b3-spanid']) isId[headerName(name).slot] = 1
const cookieSlot = headerName('cookie').slot
/** Shorter cookies could be guessed byte by byte. */
const shortCookie = 20

const pseudoNames = {
  method: Buffer.from(':method'),
  path: Buffer.from(':path'),
  authority: Buffer.from(':authority'),
  scheme: Buffer.from(':scheme'),
  protocol: Buffer.from(':protocol'),
  status: Buffer.from(':status'),
} as const
type PseudoName = keyof typeof pseudoNames
const pseudoIndex: Readonly<Record<PseudoName, number>> = { authority: 1, method: 2, path: 4, scheme: 6, status: 8, protocol: 0 }
/** What stands for a pseudo-header's name where others have their slot: behind all slots. */
const pseudoKey: Readonly<Record<PseudoName, number>> = {
  method: slotCount,
  path: slotCount + 1,
  authority: slotCount + 2,
  scheme: slotCount + 3,
  protocol: slotCount + 4,
  status: slotCount + 5,
}
const statusIndex = new Map([
  [200, 8],
  [204, 9],
  [206, 10],
  [304, 11],
  [400, 12],
  [404, 13],
  [500, 14],
])

const textScratchSize = 256
/** In a smaller table no field is put for its name alone. */
const roomForNames = 2048

/**
 * Encodes messages as header blocks. What is sent a second time goes into the dynamic table, from the third time on it is
 * one or two bytes: values that never come again (ids, lengths, times) push nothing out.
 */
export class HpackEncoder {
  private readonly dynamic: DynamicTable
  private readonly capacity: number
  private readonly huffman: boolean
  /** Number + 1 of the entry last inserted with this hash of name and value; of name alone. */
  private readonly byField = new Int32Array(hashPlaces)
  private readonly byName = new Int32Array(hashPlaces)
  /** Number + 1 of the entry last used for each name that has a key: most headers say what they said before. */
  private readonly lastOfKey = new Int32Array(256)
  /** Hashes of fields seen lately. */
  private readonly seen = new Int32Array(hashPlaces)
  /** 1: the key's name went out without an index. */
  private readonly seenName = new Uint8Array(256)
  /** The last text of each pseudo-header that has an entry, and the entry's number. */
  private readonly texts: Record<PseudoName, { text: string; number: number }> = {
    method: { text: '', number: -1 },
    path: { text: '', number: -1 },
    authority: { text: '', number: -1 },
    scheme: { text: '', number: -1 },
    protocol: { text: '', number: -1 },
    status: { text: '', number: -1 },
  }
  /** The number of the entry that `field` used or made; -1: none. */
  private usedEntry = -1
  private sizeChanged = false
  /** The smallest size since the last block: it has to be said too (RFC 7541 section 4.2). */
  private smallest = 0
  private scratch: Buffer = Buffer.allocUnsafeSlow(textScratchSize)
  private readonly statusText: Buffer = Buffer.alloc(3)

  /** `capacity`: the most bytes to spend on the table, whatever the peer allows. */
  constructor(capacity = 4096, huffman = true) {
    this.capacity = capacity
    this.huffman = huffman
    this.dynamic = new DynamicTable(capacity)
    if (capacity < 4096) this.noteSize(capacity)
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setPeerLimit(limit: number): void {
    const size = Math.min(limit, this.capacity)
    if (size === this.dynamic.maxSize) return
    this.noteSize(size)
    this.dynamic.resize(size)
  }

  private noteSize(size: number): void {
    this.smallest = this.sizeChanged ? Math.min(this.smallest, size) : size
    this.sizeChanged = true
  }

  get tableSize(): number {
    return this.dynamic.size
  }

  /** What a block begins with, before its fields: size updates where the table has changed. */
  begin(out: Buffer, at: number): number {
    if (!this.sizeChanged) return at
    this.sizeChanged = false
    const { maxSize } = this.dynamic
    if (this.smallest < maxSize) at = putInteger(out, at, 0x20, 0x1f, this.smallest)
    return putInteger(out, at, 0x20, 0x1f, maxSize)
  }

  /** The most bytes that `begin`, `fields` and a few pseudo-headers take. */
  static bound(table: HeaderTable): number {
    return table.used + table.entries * 12 + 64
  }

  method(method: string, out: Buffer, at: number): number {
    if (method === 'GET') out[at++] = 0x82
    else if (method === 'POST') out[at++] = 0x83
    else return this.pseudo('method', method, out, at)
    return at
  }

  scheme(scheme: string, out: Buffer, at: number): number {
    if (scheme === 'http') out[at++] = 0x86
    else if (scheme === 'https') out[at++] = 0x87
    else return this.pseudo('scheme', scheme, out, at)
    return at
  }

  path(path: string, out: Buffer, at: number): number {
    if (path === '/') {
      out[at++] = 0x84
      return at
    }
    return this.pseudo('path', path, out, at)
  }

  authority(authority: string, out: Buffer, at: number): number {
    return this.pseudo('authority', authority, out, at)
  }

  protocol(protocol: string, out: Buffer, at: number): number {
    return this.pseudo('protocol', protocol, out, at)
  }

  status(status: number, out: Buffer, at: number): number {
    const index = statusIndex.get(status)
    if (index !== undefined) {
      out[at++] = 0x80 | index
      return at
    }
    const text = this.statusText
    text[0] = 48 + Math.floor(status / 100)
    text[1] = 48 + (Math.floor(status / 10) % 10)
    text[2] = 48 + (status % 10)
    return this.field(pseudoKey.status, pseudoIndex.status, pseudoNames.status, 0, 7, text, 0, 3, out, at)
  }

  private pseudo(name: PseudoName, value: string, out: Buffer, at: number): number {
    const { dynamic } = this
    const last = this.texts[name]
    if (last.text === value && dynamic.holds(last.number)) {
      return putInteger(out, at, 0x80, 0x7f, staticCount + dynamic.inserted - last.number)
    }
    if (value.length > this.scratch.length) this.scratch = Buffer.allocUnsafeSlow(value.length * 2)
    const length = this.scratch.latin1Write(value, 0)
    const bytes = pseudoNames[name]
    const end = this.field(pseudoKey[name], pseudoIndex[name], bytes, 0, bytes.length, this.scratch, 0, length, out, at)
    last.text = value
    last.number = this.usedEntry
    return end
  }

  /** All fields of a table but those that belong to a connection of HTTP/1.1, and Host. */
  fields(table: HeaderTable, out: Buffer, at: number): number {
    const { buffer, ranges, entries } = table
    for (let i = 0; i < entries; i++) {
      const r = i * 4
      const nameStart = ranges[r]!
      if (nameStart < 0) continue
      const slot = table.slotAt(i)
      if (staysBehind[slot] === 1) continue
      const nameEnd = ranges[r + 1]!
      const valueStart = ranges[r + 2]!
      const valueEnd = ranges[r + 3]!
      if (neverIndexed[slot] === 1 || (slot === cookieSlot && valueEnd - valueStart < shortCookie)) {
        at = this.literal(0x10, 0x0f, staticOfSlot[slot]!, buffer, nameStart, nameEnd, buffer, valueStart, valueEnd, out, at)
      } else if (isId[slot] === 1) {
        at = this.id(slot, buffer, nameStart, nameEnd, valueStart, valueEnd, out, at)
      } else {
        at = this.field(slot, staticOfSlot[slot]!, buffer, nameStart, nameEnd, buffer, valueStart, valueEnd, out, at)
      }
    }
    return at
  }

  private field(
    key: number,
    staticIndex: number,
    nameBytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueBytes: Buffer,
    valueStart: number,
    valueEnd: number,
    out: Buffer,
    at: number,
  ): number {
    const { dynamic, lastOfKey } = this
    if (key !== 0) {
      const last = lastOfKey[key]! - 1
      if (
        last >= 0 &&
        dynamic.holds(last) &&
        this.isField(last, key, nameBytes, nameStart, nameEnd, valueBytes, valueStart, valueEnd)
      ) {
        this.usedEntry = last
        return putInteger(out, at, 0x80, 0x7f, staticCount + dynamic.inserted - last)
      }
    }
    const nameHash = key !== 0 ? Math.imul(key, 0x9e3779b1) : hashRange(nameBytes, nameStart, nameEnd, 0x811c9dc5)
    const hash = hashRange(valueBytes, valueStart, valueEnd, nameHash)
    const place = (hash >>> 16) & (hashPlaces - 1)
    const number = this.byField[place]! - 1
    if (
      number >= 0 &&
      dynamic.holds(number) &&
      this.isField(number, key, nameBytes, nameStart, nameEnd, valueBytes, valueStart, valueEnd)
    ) {
      if (key !== 0) lastOfKey[key] = number + 1
      this.usedEntry = number
      return putInteger(out, at, 0x80, 0x7f, staticCount + dynamic.inserted - number)
    }
    let nameIndex = staticIndex
    const namePlace = (nameHash >>> 16) & (hashPlaces - 1)
    if (nameIndex === 0) {
      const named = (key !== 0 ? lastOfKey[key]! : this.byName[namePlace]!) - 1
      if (named >= 0 && dynamic.holds(named) && (key !== 0 || this.isName(named, nameBytes, nameStart, nameEnd))) {
        nameIndex = staticCount + dynamic.inserted - named
      }
    }
    if (this.seen[place] !== hash && !(nameIndex === 0 && this.isKnownName(key))) {
      this.seen[place] = hash
      this.usedEntry = -1
      return this.literal(0, 0x0f, nameIndex, nameBytes, nameStart, nameEnd, valueBytes, valueStart, valueEnd, out, at)
    }
    at = this.literal(0x40, 0x3f, nameIndex, nameBytes, nameStart, nameEnd, valueBytes, valueStart, valueEnd, out, at)
    // Here an entry's kind is what stands for its name.
    if (dynamic.insert(nameBytes, nameStart, nameEnd, valueBytes, valueStart, valueEnd, key, 0)) {
      this.byField[place] = dynamic.inserted
      if (key !== 0) lastOfKey[key] = dynamic.inserted
      else this.byName[namePlace] = dynamic.inserted
      this.usedEntry = dynamic.inserted - 1
    } else this.usedEntry = -1
    return at
  }

  /** Whether the name goes out for the second time without an index: then its field is put into the table for its sake. */
  private isKnownName(key: number): boolean {
    if (key === 0 || this.dynamic.maxSize < roomForNames) return false
    if (this.seenName[key] === 1) return true
    this.seenName[key] = 1
    return false
  }

  /** A field with a value that never comes again: only its name is looked for, or put into the table. */
  private id(
    slot: number,
    bytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
    out: Buffer,
    at: number,
  ): number {
    const { dynamic, lastOfKey } = this
    const last = lastOfKey[slot]! - 1
    const length = valueEnd - valueStart
    if (last >= 0 && dynamic.holds(last)) at = putInteger(out, at, 0, 0x0f, staticCount + dynamic.inserted - last)
    else {
      const isPut = this.isKnownName(slot)
      out[at++] = isPut ? 0x40 : 0
      at = this.string(bytes, nameStart, nameEnd, out, at)
      if (isPut && dynamic.insert(bytes, nameStart, nameEnd, bytes, valueStart, valueEnd, slot, 0))
        lastOfKey[slot] = dynamic.inserted
    }
    at = putInteger(out, at, 0, 0x7f, length)
    return copyBytes(bytes, valueStart, valueEnd, out, at)
  }

  /** Whether an entry is this field. */
  private isField(
    number: number,
    key: number,
    nameBytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueBytes: Buffer,
    valueStart: number,
    valueEnd: number,
  ): boolean {
    const { dynamic } = this
    const place = dynamic.placeOfNumber(number)
    if (dynamic.kinds[place] !== key) return false
    const length = valueEnd - valueStart
    if (dynamic.valueLengths[place] !== length) return false
    if (key === 0 && !this.isName(number, nameBytes, nameStart, nameEnd)) return false
    const start = dynamic.lineStarts[place]! + dynamic.nameLengths[place]! + 2
    return sameRange(dynamic.bytes, start, valueBytes, valueStart, length)
  }

  private isName(number: number, bytes: Buffer, start: number, end: number): boolean {
    const { dynamic } = this
    const place = dynamic.placeOfNumber(number)
    const length = end - start
    return dynamic.nameLengths[place] === length && sameRange(dynamic.bytes, dynamic.lineStarts[place]!, bytes, start, length)
  }

  private literal(
    first: number,
    mask: number,
    nameIndex: number,
    nameBytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueBytes: Buffer,
    valueStart: number,
    valueEnd: number,
    out: Buffer,
    at: number,
  ): number {
    at = putInteger(out, at, first, mask, nameIndex)
    if (nameIndex === 0) at = this.string(nameBytes, nameStart, nameEnd, out, at)
    return this.string(valueBytes, valueStart, valueEnd, out, at)
  }

  private string(bytes: Buffer, start: number, end: number, out: Buffer, at: number): number {
    const length = end - start
    if (this.huffman) {
      const coded = huffmanLength(bytes, start, end)
      if (coded < length) {
        at = putInteger(out, at, 0x80, 0x7f, coded)
        return encodeHuffman(bytes, start, end, out, at)
      }
    }
    at = putInteger(out, at, 0, 0x7f, length)
    return copyBytes(bytes, start, end, out, at)
  }
}

/** Writes an integer (RFC 7541 section 5.1) behind the bits `first`. */
function putInteger(out: Buffer, at: number, first: number, mask: number, value: number): number {
  if (value < mask) {
    out[at] = first | value
    return at + 1
  }
  out[at++] = first | mask
  value -= mask
  while (value >= 0x80) {
    out[at++] = 0x80 | (value & 0x7f)
    value >>>= 7
  }
  out[at] = value
  return at + 1
}

/** Of long values the first and last bytes only: equality is checked in any case. */
const hashedEnd = 24

function hashRange(bytes: Buffer, start: number, end: number, seed: number): number {
  let hash = seed ^ (end - start)
  if (end - start <= 2 * hashedEnd) {
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  } else {
    for (let i = start; i < start + hashedEnd; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
    for (let i = end - hashedEnd; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  }
  return hash ^ (hash >>> 15)
}

function sameRange(a: Buffer, aStart: number, b: Buffer, bStart: number, length: number): boolean {
  if (length > 48) return a.compare(b, bStart, bStart + length, aStart, aStart + length) === 0
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false
  return true
}
