import { type DescMessage, fromBinary, type Message, type Registry } from '@bufbuild/protobuf'
import { isReflectMessage, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'

/** Every message of one type within a message, Any contents included; not those within one that was found. */
export function findMessages(registry: Registry, desc: DescMessage, message: Message, typeName: string): ReflectMessage[] {
  const found: ReflectMessage[] = []
  const visit = (value: unknown): undefined => {
    if (!isReflectMessage(value)) return
    if (value.desc.typeName === typeName && value.message !== message) {
      found.push(value)
      return
    }
    if (value.desc.typeName === 'google.protobuf.Any') return visitAny(value)
    for (const field of value.desc.fields) {
      if (!value.isSet(field) || field.message === undefined) continue
      if (field.fieldKind === 'list') for (const item of value.get(field)) visit(item)
      else if (field.fieldKind === 'map') for (const item of value.get(field).values()) visit(item)
      else visit(value.get(field))
    }
  }
  const visitAny = (any: ReflectMessage): undefined => {
    const [urlField, bytesField] = any.desc.fields
    if (urlField === undefined || bytesField === undefined) return
    const type = registry.getMessage(String(any.get(urlField)).replace(/^.*\//, ''))
    const bytes: unknown = any.get(bytesField)
    if (type !== undefined && bytes instanceof Uint8Array) visit(reflect(type, fromBinary(type, bytes)))
  }
  visit(reflect(desc, message))
  return found
}
