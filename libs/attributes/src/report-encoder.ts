import { type ReportRequest, ReportRequest_RepeatedAttributesSemantics as Semantics } from '@weft/contracts/istio/mixer/v1/report'
import { type MutableBag, sameOwnNames } from './bag.ts'
import { Duration } from './duration.ts'
import { sameValue } from './encoding.ts'
import type { AttributeValue, StringMap } from './types.ts'
import { MAX_DELIMITED, WireWriter } from './wire-writer.ts'
import { WordWriter } from './words.ts'

/** Room for any one value that is not of variable length, with its tags. */
const SMALL = 64

// Tags of istio.mixer.v1: field number and wire type.
const REPORT_ATTRIBUTES = 0x0a
const REPORT_DEFAULT_WORDS = 0x12
const REPORT_GLOBAL_WORD_COUNT = 0x18
const REPORT_SEMANTICS = 0x20
const STRINGS = 0x12
const INT64S = 0x1a
const DOUBLES = 0x22
const BOOLS = 0x2a
const TIMESTAMPS = 0x32
const DURATIONS = 0x3a
const BYTES = 0x42
const STRING_MAPS = 0x4a
const MAP_ENTRIES = 0x0a
const KEY = 0x08
const VALUE_VARINT = 0x10
const VALUE_DOUBLE = 0x11
const VALUE_MESSAGE = 0x12

/**
 * Writes a Report straight into bytes: what generated messages would need objects for costs a sidecar half of a request.
 * Records share one word list; with delta encoding each holds what differs from the one before it. A delta cannot take an
 * attribute away, so all records of such a report have the same attributes: see `fits`.
 */
export class ReportEncoder {
  readonly #semantics: ReportRequest['repeatedAttributesSemantics']
  readonly #words = new WordWriter()
  readonly #writer = new WireWriter()
  #previous: MutableBag | undefined
  records = 0

  constructor(semantics: ReportRequest['repeatedAttributesSemantics']) {
    this.#semantics = semantics
  }

  /** Whether a record can follow those that are in. Bags with another parent have another shape. */
  fits(bag: MutableBag): boolean {
    if (this.#semantics !== Semantics.DELTA_ENCODING || this.#previous === undefined) return true
    return bag.parent === this.#previous.parent && sameOwnNames(bag, this.#previous)
  }

  /** About as many bytes as the report will have. */
  get size(): number {
    return this.#writer.position + this.#words.characters
  }

  /** Adds a record that fits; it must not change afterwards. False, and nothing added, when it alone is too long to send. */
  add(bag: MutableBag): boolean {
    const writer = this.#writer
    const before = writer.position
    const start = writer.beginDelimited(REPORT_ATTRIBUTES)
    const isDelta = this.#semantics === Semantics.DELTA_ENCODING
    const previous = isDelta ? this.#previous : undefined
    for (const [name, value] of bag.ownEntries()) {
      if (previous === undefined || !sameValue(value, previous.get(name))) this.#put(name, value)
    }
    // A parent is shared by many records, and then there is nothing to repeat of it.
    if (bag.parent !== undefined && previous?.parent !== bag.parent) {
      for (const name of bag.parent.names()) {
        const value = bag.hasOwn(name) ? undefined : bag.parent.get(name)
        if (value !== undefined) this.#put(name, value)
      }
    }
    if (writer.position - start > MAX_DELIMITED) {
      writer.rewind(before)
      return false
    }
    writer.endDelimited(start)
    if (isDelta) this.#previous = bag
    this.records++
    return true
  }

  /** The bytes of the ReportRequest; the encoder is used up. */
  finish(): Uint8Array {
    const writer = this.#writer
    for (const word of this.#words.words) writer.string(REPORT_DEFAULT_WORDS, word)
    writer.reserve(SMALL)
    writer.byte(REPORT_GLOBAL_WORD_COUNT)
    writer.varint(this.#words.globalWordCount)
    if (this.#semantics !== Semantics.DELTA_ENCODING) {
      writer.byte(REPORT_SEMANTICS)
      writer.varint(this.#semantics)
    }
    return writer.bytes()
  }

  #put(name: string, value: AttributeValue): void {
    const index = this.#words.index(name)
    const writer = this.#writer
    writer.reserve(SMALL)
    switch (typeof value) {
      case 'string': {
        const end = this.#entry(STRINGS, index)
        writer.byte(VALUE_VARINT)
        writer.zigzag(this.#words.index(value))
        this.#close(end)
        return
      }
      case 'bigint': {
        const end = this.#entry(INT64S, index)
        writer.byte(VALUE_VARINT)
        writer.int64(value)
        this.#close(end)
        return
      }
      case 'number': {
        const end = this.#entry(DOUBLES, index)
        writer.byte(VALUE_DOUBLE)
        writer.double(value)
        this.#close(end)
        return
      }
      case 'boolean': {
        const end = this.#entry(BOOLS, index)
        writer.byte(VALUE_VARINT)
        writer.byte(value ? 1 : 0)
        this.#close(end)
        return
      }
    }
    if (value instanceof Date) {
      const ms = value.getTime()
      const seconds = Math.floor(ms / 1000)
      this.#putTime(TIMESTAMPS, index, seconds, (ms - seconds * 1000) * 1_000_000)
    } else if (value instanceof Duration) this.#putTime(DURATIONS, index, value.seconds, value.nanos)
    else if (value instanceof Uint8Array) this.#putBytes(index, value)
    else this.#putMap(index, value)
  }

  /** Opens a map entry that is shorter than 128 bytes; gives where its length stands. */
  #entry(tag: number, index: number): number {
    const writer = this.#writer
    writer.byte(tag)
    const lengthAt = writer.position
    writer.byte(0)
    writer.byte(KEY)
    writer.zigzag(index)
    return lengthAt
  }

  #close(lengthAt: number): void {
    const writer = this.#writer
    const end = writer.position
    writer.position = lengthAt
    writer.byte(end - lengthAt - 1)
    writer.position = end
  }

  #putTime(tag: number, index: number, seconds: number, nanos: number): void {
    const writer = this.#writer
    const end = this.#entry(tag, index)
    writer.byte(VALUE_MESSAGE)
    const lengthAt = writer.position
    writer.byte(0)
    writer.byte(KEY)
    if (seconds >= 0) writer.varint(seconds)
    else writer.int64(BigInt(seconds))
    writer.byte(VALUE_VARINT)
    if (nanos >= 0) writer.varint(nanos)
    else writer.int64(BigInt(nanos))
    this.#close(lengthAt)
    this.#close(end)
  }

  #putBytes(index: number, value: Uint8Array): void {
    const writer = this.#writer
    const entry = writer.beginDelimited(BYTES)
    writer.reserve(SMALL + value.length)
    writer.byte(KEY)
    writer.zigzag(index)
    writer.byte(VALUE_MESSAGE)
    writer.varint(value.length)
    writer.raw(value)
    writer.endDelimited(entry)
  }

  #putMap(index: number, map: StringMap): void {
    const writer = this.#writer
    const entry = writer.beginDelimited(STRING_MAPS)
    writer.reserve(SMALL)
    writer.byte(KEY)
    writer.zigzag(index)
    const inner = writer.beginDelimited(VALUE_MESSAGE)
    for (const [key, value] of map) {
      writer.reserve(SMALL)
      const end = this.#entry(MAP_ENTRIES, this.#words.index(key))
      writer.byte(VALUE_VARINT)
      writer.zigzag(this.#words.index(value))
      this.#close(end)
    }
    writer.endDelimited(inner)
    writer.endDelimited(entry)
  }
}
