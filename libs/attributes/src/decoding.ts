import type { Attributes, CompressedAttributes } from '@weft/contracts/istio/mixer/v1/attributes'
import { WeftError } from '@weft/service/errors'
import { MutableBag } from './bag.ts'
import { Duration } from './duration.ts'
import type { AttributeValue } from './types.ts'
import { type WordReader, wordReader } from './words.ts'

/** More attributes than this in one message are refused; real bags have some sixty. */
const MAX_ATTRIBUTES = 10_000

/**
 * Reads a compressed message into a new bag. Throws `invalid_argument` for an index out of range, a time
 * that is none and a message of unreasonable size.
 */
export function decodeAttributes(message: CompressedAttributes, words: WordReader = wordReader(message.words)): MutableBag {
  const bag = new MutableBag()
  applyAttributes(bag, message, words)
  return bag
}

/**
 * Changes a bag by a message, as each record of a delta-encoded Report does to the one before it: what the
 * message names is set (string maps as a whole), everything else stays. Nothing is changed when it throws.
 */
export function applyAttributes(
  bag: MutableBag,
  message: CompressedAttributes,
  words: WordReader = wordReader(message.words),
): void {
  const changes: [string, AttributeValue][] = []
  const add = (index: string, value: AttributeValue) => {
    if (changes.length >= MAX_ATTRIBUTES) {
      throw new WeftError('invalid_argument', `the message has more than ${MAX_ATTRIBUTES} attributes`)
    }
    changes.push([words.word(Number(index)), value])
  }
  for (const index in message.strings) add(index, words.word(message.strings[index] ?? 0))
  for (const index in message.int64s) add(index, BigInt(message.int64s[index] ?? 0))
  for (const index in message.doubles) add(index, message.doubles[index] ?? 0)
  for (const index in message.bools) add(index, message.bools[index] ?? false)
  for (const index in message.timestamps) {
    const time = message.timestamps[index]
    if (time === undefined || Number.isNaN(time.getTime())) throw badValue(words.word(Number(index)), 'a time out of range')
    add(index, time)
  }
  for (const index in message.durations) {
    const { seconds, nanos } = message.durations[index] ?? { seconds: 0, nanos: 0 }
    add(index, new Duration(seconds, nanos))
  }
  for (const index in message.bytes) add(index, message.bytes[index] ?? new Uint8Array())
  for (const index in message.stringMaps) {
    const map = new Map<string, string>()
    const entries = message.stringMaps[index]?.entries ?? {}
    for (const key in entries) map.set(words.word(Number(key)), words.word(entries[key] ?? 0))
    add(index, map)
  }
  for (const [name, value] of changes) bag.set(name, value)
}

function badValue(name: string, what: string): WeftError {
  return new WeftError('invalid_argument', `attribute ${name} holds ${what}`)
}

/** The values of an uncompressed message, as configuration and the `x-istio-attributes` header carry them. */
export function plainAttributes(message: Attributes | undefined): [name: string, value: AttributeValue][] {
  const values: [string, AttributeValue][] = []
  for (const [name, { value }] of Object.entries(message?.attributes ?? {})) {
    switch (value?.$case) {
      case 'stringValue':
      case 'doubleValue':
      case 'boolValue':
      case 'bytesValue':
        values.push([name, value.value])
        break
      case 'int64Value':
        values.push([name, BigInt(value.value)])
        break
      case 'timestampValue':
        if (Number.isNaN(value.value.getTime())) throw badValue(name, 'a time out of range')
        values.push([name, value.value])
        break
      case 'durationValue':
        values.push([name, new Duration(value.value.seconds, value.value.nanos)])
        break
      case 'stringMapValue':
        values.push([name, new Map(Object.entries(value.value.entries))])
        break
      case undefined:
        break
    }
  }
  return values
}
