import { fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import { messageType } from '../control/validation/decode.ts'
import { redactMessage } from './redact.ts'

/** A binary message as JSON with the API's field names, its secrets taken out. `whole`: what stands at its default is told too. */
export function messageJson(typeName: string, bytes: Uint8Array, whole = false): JsonValue {
  const type = messageType(typeName)
  const message = fromBinary(type, bytes)
  redactMessage(type, message)
  return toJson(type, message, { registry: descriptors(), useProtoFieldName: true, alwaysEmitImplicit: whole })
}

/** The same as the JSON form of an Any: with its type. */
export function anyJson(typeName: string, bytes: Uint8Array): Record<string, JsonValue> {
  const json = messageJson(typeName, bytes)
  return { '@type': `type.googleapis.com/${typeName}`, ...(typeof json === 'object' && !Array.isArray(json) ? json : {}) }
}
