import type { Attributes, Attributes_AttributeValue, CompressedAttributes } from '@weft/contracts/istio/mixer/v1/attributes'
import type { Bag } from './bag.ts'
import { Duration } from './duration.ts'
import type { AttributeValue, StringMap } from './types.ts'
import { WordWriter } from './words.ts'

/** A bag as one self-contained message. */
export function encodeAttributes(bag: Bag, words: WordWriter = new WordWriter()): CompressedAttributes {
  const message = emptyMessage()
  for (const name of bag.names()) {
    const value = bag.get(name)
    if (value !== undefined) put(message, name, value, words)
  }
  message.words = words.words
  return message
}

/** Values in uncompressed form. INT64 values have to be safe integers, since the generated contract holds numbers. */
export function toPlainAttributes(values: Iterable<readonly [name: string, value: AttributeValue]>): Attributes {
  const attributes: { [name: string]: Attributes_AttributeValue } = {}
  for (const [name, value] of values) attributes[name] = { value: plainValue(value) }
  return { attributes }
}

function plainValue(value: AttributeValue): Attributes_AttributeValue['value'] {
  switch (typeof value) {
    case 'string':
      return { $case: 'stringValue', value }
    case 'bigint':
      return { $case: 'int64Value', value: Number(value) }
    case 'number':
      return { $case: 'doubleValue', value }
    case 'boolean':
      return { $case: 'boolValue', value }
  }
  if (value instanceof Date) return { $case: 'timestampValue', value }
  if (value instanceof Duration) return { $case: 'durationValue', value: { seconds: value.seconds, nanos: value.nanos } }
  if (value instanceof Uint8Array) return { $case: 'bytesValue', value: Buffer.from(value) }
  return { $case: 'stringMapValue', value: { entries: Object.fromEntries(value) } }
}

function emptyMessage(): CompressedAttributes {
  return { words: [], strings: {}, int64s: {}, doubles: {}, bools: {}, timestamps: {}, durations: {}, bytes: {}, stringMaps: {} }
}

function put(message: CompressedAttributes, name: string, value: AttributeValue, words: WordWriter): void {
  const index = words.index(name)
  switch (typeof value) {
    case 'string':
      message.strings[index] = words.index(value)
      return
    case 'bigint':
      message.int64s[index] = Number(value)
      return
    case 'number':
      message.doubles[index] = value
      return
    case 'boolean':
      message.bools[index] = value
      return
  }
  if (value instanceof Date) message.timestamps[index] = value
  else if (value instanceof Duration) message.durations[index] = { seconds: value.seconds, nanos: value.nanos }
  else if (value instanceof Uint8Array) message.bytes[index] = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  else message.stringMaps[index] = { entries: encodeMap(value, words) }
}

function encodeMap(map: StringMap, words: WordWriter): { [key: number]: number } {
  const entries: { [key: number]: number } = {}
  for (const [key, value] of map) entries[words.index(key)] = words.index(value)
  return entries
}

/** True when two values are the same on the wire. */
export function sameValue(left: AttributeValue, right: AttributeValue | undefined): boolean {
  if (left === right) return true
  if (typeof left !== 'object' || typeof right !== 'object') return false
  if (left instanceof Date) return right instanceof Date && left.getTime() === right.getTime()
  if (left instanceof Duration) return right instanceof Duration && left.equals(right)
  if (left instanceof Uint8Array) return right instanceof Uint8Array && Buffer.compare(left, right) === 0
  if (!(right instanceof Map) || left.size !== right.size) return false
  for (const [key, value] of left) if (right.get(key) !== value) return false
  return true
}
