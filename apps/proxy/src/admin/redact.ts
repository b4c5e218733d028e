import { type DescMessage, fromBinary, getOption, hasOption, type Message, ScalarType, toBinary } from '@bufbuild/protobuf'
import { isReflectMessage, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { descriptors } from '@weft/contracts/descriptors'

const mark = '[redacted]'
/** Headers that carry credentials, wherever a configuration sets them. */
const secretHeaders = new Set(['authorization', 'proxy-authorization', 'cookie', 'x-api-key'])

/** Takes out of a message, in place, what the API marks as sensitive (keys, passwords) and credentials in headers. */
export function redactMessage(type: DescMessage, message: Message): void {
  const sensitive = descriptors().getExtension('udpa.annotations.sensitive')

  const walk = (value: ReflectMessage, secret: boolean): undefined => {
    const name = value.desc.typeName
    if (name === 'google.protobuf.Any') return walkAny(value, secret)
    if (name === 'google.protobuf.Struct' || name === 'google.protobuf.Value') return
    const header = name === 'envoy.config.core.v3.HeaderValue' && secretHeaders.has(textOf(value, 'key').toLowerCase())
    for (const field of value.desc.fields) {
      if (!value.isSet(field)) continue
      const hidden = secret || (sensitive !== undefined && hasOption(field, sensitive) && getOption(field, sensitive) === true)
      switch (field.fieldKind) {
        case 'message':
          walk(value.get(field), hidden)
          break
        case 'list':
          if (field.listKind === 'message') {
            for (const item of value.get(field)) if (isReflectMessage(item)) walk(item, hidden)
          } else if (hidden) value.clear(field)
          break
        case 'map':
          if (field.mapKind === 'message')
            for (const item of value.get(field).values()) if (isReflectMessage(item)) walk(item, hidden)
          break
        case 'scalar': {
          if (!hidden && !(header && (field.name === 'value' || field.name === 'raw_value'))) break
          if (field.scalar === ScalarType.STRING) value.set(field, mark)
          else if (field.scalar === ScalarType.BYTES) value.set(field, Buffer.from(mark))
          break
        }
      }
    }
  }

  const walkAny = (any: ReflectMessage, secret: boolean): undefined => {
    const [urlField, bytesField] = any.desc.fields
    if (urlField === undefined || bytesField === undefined) return
    const inner = descriptors().getMessage(textOf(any, 'type_url').replace(/^.*\//, ''))
    const bytes: unknown = any.get(bytesField)
    if (inner === undefined || !(bytes instanceof Uint8Array)) return
    const content = fromBinary(inner, bytes)
    walk(reflect(inner, content), secret)
    any.set(bytesField, toBinary(inner, content))
  }

  walk(reflect(type, message), false)
}

function textOf(message: ReflectMessage, name: string): string {
  const field = message.desc.fields.find((each) => each.name === name)
  return field === undefined ? '' : String(message.get(field))
}
