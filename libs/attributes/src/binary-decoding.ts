import { WeftError } from '@weft/service/errors'
import type { MutableBag } from './bag.ts'
import { Duration } from './duration.ts'
import { GLOBAL_WORDS } from './global-words.ts'
import type { AttributeValue, StringMap } from './types.ts'
import { WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT, WireBytes } from './wire-bytes.ts'
import { type WordReader, wordReader } from './words.ts'

/** As in `decoding.ts`: more attributes than this in one message are refused. */
const MAX_ATTRIBUTES = 10_000

/** The fields of istio.mixer.v1.CompressedAttributes. */
const WORDS = 1
const STRINGS = 2
const INT64S = 3
const DOUBLES = 4
const BOOLS = 5
const TIMESTAMPS = 6
const DURATIONS = 7
const BYTES = 8
const STRING_MAPS = 9

/** One attribute as it was read, before its words can be looked up: it has a value, a word for one, or the words of a map. */
interface Change {
  name: number
  value: AttributeValue | undefined
  word: number
  entries: number[] | undefined
}

/**
 * Changes a bag by the bytes of a CompressedAttributes message: what `applyAttributes` does, without the objects in
 * between, in a third of the time. Where the message has no words of its own, `defaultWords` are its words. Nothing is
 * changed when it throws `invalid_argument`.
 */
export function applyAttributeBytes(
  bag: MutableBag,
  message: Uint8Array,
  globalWords: readonly string[] = GLOBAL_WORDS,
  defaultWords: readonly string[] = [],
): void {
  const bytes = new WireBytes(message)
  const ownWords: string[] = []
  const changes: Change[] = []
  while (bytes.position < bytes.end) {
    const tag = bytes.uint32()
    const field = tag >>> 3
    if ((tag & 7) !== WIRE_BYTES || field < WORDS || field > STRING_MAPS) bytes.skip(tag & 7)
    else if (field === WORDS) ownWords.push(bytes.string())
    else {
      if (changes.length >= MAX_ATTRIBUTES)
        throw new WeftError('invalid_argument', `the message has more than ${MAX_ATTRIBUTES} attributes`)
      changes.push(readEntry(bytes, field))
    }
  }
  // Words may stand after what refers to them, so they are looked up when all is read.
  const words = wordReader(ownWords.length === 0 ? defaultWords : ownWords, globalWords)
  const names: string[] = []
  for (const change of changes) {
    names.push(words.word(change.name))
    change.value ??= change.entries === undefined ? words.word(change.word) : mapOf(change.entries, words)
  }
  for (let index = 0; index < changes.length; index++) {
    const name = names[index]
    const value = changes[index]?.value
    if (name !== undefined && value !== undefined) bag.set(name, value)
  }
}

/** One entry of a map field: its key is the attribute's name; an absent key or value is protobuf's zero. */
function readEntry(bytes: WireBytes, field: number): Change {
  const end = bytes.fieldEnd()
  const change: Change = { name: 0, value: undefined, word: 0, entries: undefined }
  let seen = false
  while (bytes.position < end) {
    const tag = bytes.uint32()
    if (tag === ((1 << 3) | WIRE_VARINT)) change.name = bytes.sint32()
    else if (tag >>> 3 === 2 && (tag & 7) === wireTypeOf(field)) {
      readValue(bytes, field, change)
      seen = true
    } else bytes.skip(tag & 7)
  }
  if (bytes.position !== end)
    throw new WeftError('invalid_argument', 'the message is not protobuf: an entry is longer than it says')
  if (!seen) setZero(field, change)
  return change
}

function wireTypeOf(field: number): number {
  if (field === DOUBLES) return WIRE_FIXED64
  return field === STRINGS || field === INT64S || field === BOOLS ? WIRE_VARINT : WIRE_BYTES
}

function readValue(bytes: WireBytes, field: number, change: Change): void {
  switch (field) {
    case STRINGS:
      change.word = bytes.sint32()
      return
    case INT64S:
      change.value = bytes.int64()
      return
    case DOUBLES:
      change.value = bytes.double()
      return
    case BOOLS:
      change.value = bytes.uint32() !== 0
      return
    case BYTES:
      change.value = bytes.bytes()
      return
    case STRING_MAPS:
      change.entries = readStringMap(bytes)
      return
    default: {
      const { seconds, nanos } = readSeconds(bytes)
      change.value = field === TIMESTAMPS ? timestamp(seconds, nanos) : new Duration(seconds, nanos)
    }
  }
}

function setZero(field: number, change: Change): void {
  if (field === INT64S) change.value = 0n
  else if (field === DOUBLES) change.value = 0
  else if (field === BOOLS) change.value = false
  else if (field === TIMESTAMPS) change.value = new Date(0)
  else if (field === DURATIONS) change.value = new Duration(0)
  else if (field === BYTES) change.value = new Uint8Array()
  else if (field === STRING_MAPS) change.entries = []
}

/** google.protobuf.Timestamp and Duration have the same two fields. */
function readSeconds(bytes: WireBytes): { seconds: number; nanos: number } {
  const end = bytes.fieldEnd()
  let seconds = 0
  let nanos = 0
  while (bytes.position < end) {
    const tag = bytes.uint32()
    if (tag === ((1 << 3) | WIRE_VARINT)) seconds = Number(bytes.int64())
    else if (tag === ((2 << 3) | WIRE_VARINT)) nanos = bytes.uint32() | 0
    else bytes.skip(tag & 7)
  }
  return { seconds, nanos }
}

function timestamp(seconds: number, nanos: number): Date {
  const time = new Date(seconds * 1000 + Math.trunc(nanos / 1_000_000))
  if (Number.isNaN(time.getTime())) throw new WeftError('invalid_argument', 'an attribute holds a time out of range')
  return time
}

/** The entries of a StringMap: key, value, key, value … as word indexes. */
function readStringMap(bytes: WireBytes): number[] {
  const end = bytes.fieldEnd()
  const entries: number[] = []
  while (bytes.position < end) {
    const tag = bytes.uint32()
    if (tag !== ((1 << 3) | WIRE_BYTES)) {
      bytes.skip(tag & 7)
      continue
    }
    const entryEnd = bytes.fieldEnd()
    let key = 0
    let value = 0
    while (bytes.position < entryEnd) {
      const entryTag = bytes.uint32()
      if (entryTag === ((1 << 3) | WIRE_VARINT)) key = bytes.sint32()
      else if (entryTag === ((2 << 3) | WIRE_VARINT)) value = bytes.sint32()
      else bytes.skip(entryTag & 7)
    }
    entries.push(key, value)
  }
  return entries
}

function mapOf(entries: readonly number[], words: WordReader): StringMap {
  const map = new Map<string, string>()
  for (let index = 0; index < entries.length; index += 2) {
    map.set(words.word(entries[index] ?? 0), words.word(entries[index + 1] ?? 0))
  }
  return map
}
