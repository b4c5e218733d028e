import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'

/** A structural schema of OpenAPI v3, as CustomResourceDefinitions have it. */
export interface Schema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  properties?: Record<string, Schema>
  additionalProperties?: Schema
  items?: Schema
  enum?: string[]
  format?: string
  pattern?: string
  minimum?: number
  maximum?: number
  nullable?: boolean
  maxLength?: number
  oneOf?: object[]
  required?: string[]
  'x-kubernetes-preserve-unknown-fields'?: boolean
  'x-kubernetes-int-or-string'?: boolean
}

/** Whatever comes. */
export const anything: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }

/** Durations as Go writes them: what libs/config/src/duration.ts reads. */
const durationPattern = '^[-+]?(0|([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$'

const wholeNumbers: Partial<Record<ScalarType, Schema>> = {
  [ScalarType.INT32]: { type: 'integer', format: 'int32' },
  [ScalarType.SINT32]: { type: 'integer', format: 'int32' },
  [ScalarType.UINT32]: { type: 'integer', minimum: 0, maximum: 2 ** 32 - 1 },
  // 64 bits are strings in protobuf's JSON, and numbers with most people.
  [ScalarType.INT64]: { 'x-kubernetes-int-or-string': true },
  [ScalarType.SINT64]: { 'x-kubernetes-int-or-string': true },
  [ScalarType.UINT64]: { 'x-kubernetes-int-or-string': true },
}

const wellKnown: Readonly<Record<string, Schema>> = {
  'google.protobuf.Duration': { type: 'string', pattern: durationPattern, maxLength: 100 },
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Struct': anything,
  'google.protobuf.Any': anything,
  'google.protobuf.Value': { 'x-kubernetes-preserve-unknown-fields': true },
  'google.protobuf.ListValue': { type: 'array', items: { 'x-kubernetes-preserve-unknown-fields': true } },
  'google.protobuf.FieldMask': { type: 'string' },
  'google.protobuf.BoolValue': { ...scalarSchema(ScalarType.BOOL), nullable: true },
  'google.protobuf.StringValue': { ...scalarSchema(ScalarType.STRING), nullable: true },
  'google.protobuf.BytesValue': { ...scalarSchema(ScalarType.BYTES), nullable: true },
  'google.protobuf.DoubleValue': { ...scalarSchema(ScalarType.DOUBLE), nullable: true },
  'google.protobuf.FloatValue': { ...scalarSchema(ScalarType.FLOAT), nullable: true },
  'google.protobuf.Int32Value': { ...scalarSchema(ScalarType.INT32), nullable: true },
  'google.protobuf.UInt32Value': { ...scalarSchema(ScalarType.UINT32), nullable: true },
  'google.protobuf.Int64Value': { ...scalarSchema(ScalarType.INT64), nullable: true },
  'google.protobuf.UInt64Value': { ...scalarSchema(ScalarType.UINT64), nullable: true },
}

/** Schemas cannot refer to themselves: a message inside itself takes whatever comes. */
export function messageSchema(desc: DescMessage, above: readonly DescMessage[] = []): Schema {
  const known = wellKnown[desc.typeName]
  if (known !== undefined) return known
  if (above.includes(desc)) return anything
  const within = [...above, desc]
  const properties: Record<string, Schema> = {}
  for (const field of desc.fields) properties[field.jsonName] = fieldSchema(field, within)
  const exclusive = desc.oneofs.map(({ fields }) => atMostOne(fields.map(({ jsonName }) => jsonName)))
  return {
    type: 'object',
    properties,
    ...(exclusive.length === 0 ? {} : exclusive.length === 1 ? exclusive[0] : { allOf: exclusive }),
  }
}

/** None of the fields, or exactly one. */
function atMostOne(fields: readonly string[]): { oneOf: object[] } {
  const each = fields.map((field) => ({ required: [field] }))
  return { oneOf: [{ not: { anyOf: each } }, ...each] }
}

function fieldSchema(field: DescField, above: readonly DescMessage[]): Schema {
  switch (field.fieldKind) {
    case 'scalar':
      return scalarSchema(field.scalar)
    case 'enum':
      return { type: 'string', enum: field.enum.values.map(({ name }) => name) }
    case 'message':
      return messageSchema(field.message, above)
    case 'list':
      return { type: 'array', items: valueSchema(field.listKind, field, above) }
    case 'map':
      return { type: 'object', additionalProperties: valueSchema(field.mapKind, field, above) }
  }
}

/** Of an element of a list, or a value of a map. */
function valueSchema(
  kind: 'scalar' | 'enum' | 'message',
  { scalar, enum: choice, message }: DescField,
  above: readonly DescMessage[],
): Schema {
  if (kind === 'message' && message !== undefined) return messageSchema(message, above)
  if (kind === 'enum' && choice !== undefined) return { type: 'string', enum: choice.values.map(({ name }) => name) }
  return scalarSchema(scalar ?? ScalarType.STRING)
}

function scalarSchema(type: ScalarType): Schema {
  const whole = wholeNumbers[type]
  if (whole !== undefined) return whole
  switch (type) {
    case ScalarType.BOOL:
      return { type: 'boolean' }
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: 'number' }
    case ScalarType.BYTES:
      return { type: 'string', format: 'byte' }
    default:
      return { type: 'string' }
  }
}
