import { fromBinary, type Registry, toBinary } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { type Any, anyPack, anyUnpack } from '@bufbuild/protobuf/wkt'
import { envoyMessage } from '@weft/config/envoy-value'

/**
 * A message with another merged into it, as protobuf merges: lists grow, messages merge field by field, all else is replaced. Other than
 * there, so are a Duration as a whole, and messages in an Any of the same type.
 */
export function merged(name: string, bytes: Uint8Array, value: Uint8Array): Uint8Array {
  const { desc, registry } = envoyMessage(name)
  const message = fromBinary(desc, bytes)
  merge(reflect(desc, message), reflect(desc, fromBinary(desc, value)), registry)
  return toBinary(desc, message)
}

function merge(into: ReflectMessage, from: ReflectMessage, registry: Registry): void {
  for (const field of from.fields) {
    if (!from.isSet(field)) continue
    if (field.fieldKind === 'list') {
      const list = into.get(field)
      for (const item of from.get(field)) list.add(item)
    } else if (field.fieldKind === 'map') {
      const map = into.get(field)
      for (const [key, item] of from.get(field)) map.set(key, item)
    } else if (field.fieldKind === 'message' && into.isSet(field) && field.message.typeName !== 'google.protobuf.Duration') {
      const message = into.get(field)
      if (field.message.typeName === 'google.protobuf.Any') mergeAny(message, from.get(field), registry)
      else merge(message, from.get(field), registry)
      // What is got of a wrapper or a Struct is a copy.
      into.set(field, message)
    } else into.set(field, from.get(field))
  }
}

function mergeAny(into: ReflectMessage, from: ReflectMessage, registry: Registry): void {
  const [last, value] = [into.message as Any, from.message as Any]
  const desc = registry.getMessage(last.typeUrl.slice(last.typeUrl.lastIndexOf('/') + 1))
  const inner = last.typeUrl === value.typeUrl && desc !== undefined ? anyUnpack(last, registry) : undefined
  const added = anyUnpack(value, registry)
  if (desc === undefined || inner === undefined || added === undefined) {
    Object.assign(last, { typeUrl: value.typeUrl, value: value.value })
    return
  }
  merge(reflect(desc, inner), reflect(desc, added), registry)
  anyPack(desc, inner, last)
}
