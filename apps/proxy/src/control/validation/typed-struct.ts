import {
  create,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonObject,
  type Message,
  type Registry,
  toBinary,
} from '@bufbuild/protobuf'
import { isReflectMessage, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt'
import { TypedStruct } from '@weft/contracts/xds/type/v3/typed_struct'
import { WeftError } from '@weft/service/errors'
import { canonicalJson } from './canonical-json.ts'
import { checkJsonShape } from './json-shape.ts'
import { describeProblems } from './problem.ts'

/** The messages that hold another one as JSON, and name its type; both are the same on the wire. */
const wrappers: ReadonlySet<string> = new Set(['xds.type.v3.TypedStruct', 'udpa.type.v1.TypedStruct'])
const mark = Buffer.from('TypedStruct')
/** Extensions in extensions: that deep. */
const maxDepth = 32

/** Whether a message of this type holds another one as JSON. */
export function isTypedStruct(typeName: string): boolean {
  return wrappers.has(typeName)
}

/** The type that a TypedStruct is of; empty: it names none. Throws for bytes that are none. */
export function innerType(bytes: Uint8Array): string {
  return TypedStruct.decode(bytes).typeUrl.replace(/^.*\//, '')
}

/**
 * The message that a TypedStruct holds, in binary. Fields that the type does not have are left out, as Envoy does with what a
 * control plane sends. Throws a WeftError for a type that is not known, and for JSON that is not of it.
 */
export function unwrapTypedStruct(registry: Registry, bytes: Uint8Array): { typeUrl: string; value: Uint8Array } {
  const { typeUrl, value = {} } = TypedStruct.decode(bytes)
  const type = registry.getMessage(typeUrl.replace(/^.*\//, ''))
  if (type === undefined) throw new WeftError('unimplemented', `unknown type '${typeUrl}'`)
  const json = canonicalJson(registry, type, value as JsonObject)
  const problems = checkJsonShape(registry, type, json).filter((problem) => problem.unknownField !== true)
  if (problems.length > 0) throw new WeftError('invalid_argument', describeProblems(problems))
  return { typeUrl, value: toBinary(type, fromJson(type, json, { registry, ignoreUnknownFields: true })) }
}

/**
 * A message in binary with what TypedStructs in it hold in their places, wherever that is possible: what is left has a type that is
 * not known or contents that are not of it. Bytes that are no such message come back as they are.
 */
export function expandTypedStructs(descriptors: () => Registry, typeName: string, bytes: Uint8Array): Uint8Array {
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(mark)) return bytes
  const registry = descriptors()
  const desc = registry.getMessage(typeName)
  if (desc === undefined) return bytes
  try {
    const message = fromBinary(desc, bytes)
    return expandMessage(registry, desc, message, 0) ? toBinary(desc, message) : bytes
  } catch {
    return bytes
  }
}

/** Whether something in the message was expanded. */
function expandMessage(registry: Registry, desc: DescMessage, message: Message, depth: number): boolean {
  let changed = false
  const visit = (value: unknown): void => {
    if (!isReflectMessage(value)) return
    if (value.desc.typeName === AnySchema.typeName) {
      changed = expandAny(registry, value.message as Any, depth) || changed
      return
    }
    for (const field of value.desc.fields) visitField(value, field)
  }
  const visitField = (value: ReflectMessage, field: ReflectMessage['desc']['fields'][number]): void => {
    if (field.message === undefined || !value.isSet(field)) return
    if (field.fieldKind === 'list') for (const item of value.get(field)) visit(item)
    else if (field.fieldKind === 'map') for (const item of value.get(field).values()) visit(item)
    else visit(value.get(field))
  }
  visit(reflect(desc, message))
  return changed
}

function expandAny(registry: Registry, any: Any, depth: number): boolean {
  if (depth >= maxDepth || (!Buffer.from(any.value).includes(mark) && !any.typeUrl.includes('TypedStruct'))) return false
  const name = any.typeUrl.replace(/^.*\//, '')
  if (wrappers.has(name)) {
    try {
      const { typeUrl, value } = unwrapTypedStruct(registry, any.value)
      Object.assign(any, create(AnySchema, { typeUrl, value }))
    } catch {
      return false
    }
    expandAny(registry, any, depth + 1)
    return true
  }
  const type = registry.getMessage(name)
  if (type === undefined) return false
  const content = fromBinary(type, any.value)
  if (!expandMessage(registry, type, content, depth + 1)) return false
  any.value = toBinary(type, content)
  return true
}
