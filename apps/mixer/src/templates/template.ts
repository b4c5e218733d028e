import type { Duration } from '@weft/attributes/duration'
import type { AttributeValue, StringMap, ValueType } from '@weft/attributes/types'

/** A template's part in a request: answers it, counts it, tells about it, or completes its attributes. */
export type Variety = 'check' | 'quota' | 'report' | 'attributes'

/** The type an expression must have; ANY leaves it to the expression. */
export type FieldType = ValueType | 'ANY'

interface ValueTypes {
  ANY: AttributeValue
  STRING: string
  INT64: bigint
  DOUBLE: number
  BOOL: boolean
  TIMESTAMP: Date
  IP_ADDRESS: Uint8Array
  EMAIL_ADDRESS: string
  URI: string
  DNS_NAME: string
  DURATION: Duration
  STRING_MAP: StringMap
}

/** One field of an instance: an expression, a map of expressions, or a message of more fields. */
export interface ExpressionField<
  Type extends FieldType = FieldType,
  Presence extends 'required' | 'optional' | 'text' = 'required' | 'optional' | 'text',
> {
  readonly kind: 'expression'
  readonly type: Type
  /** `text` is an optional STRING that reads as `''` when configuration leaves it out. */
  readonly presence: Presence
}

export interface MapField<Type extends FieldType = FieldType> {
  readonly kind: 'map'
  readonly type: Type
}

export interface MessageField<Inner extends Fields = Fields> {
  readonly kind: 'message'
  readonly fields: Inner
}

export interface Fields {
  readonly [name: string]: ExpressionField | MapField | MessageField
}

type FieldValue<Field> =
  Field extends ExpressionField<infer Type, infer Presence>
    ? Presence extends 'optional'
      ? ValueTypes[Type] | undefined
      : ValueTypes[Type]
    : Field extends MapField<infer Type>
      ? Readonly<Record<string, ValueTypes[Type]>>
      : Field extends MessageField<infer Inner>
        ? { readonly [Name in keyof Inner]: FieldValue<Inner[Name]> }
        : never

/** An instance: its full name, and its fields' values for one request. */
export type InstanceOf<Definition> =
  Definition extends Template<infer Inner>
    ? { readonly name: string } & { readonly [Name in keyof Inner]: FieldValue<Inner[Name]> }
    : never

/** What instances of a kind consist of. Field names are in camel case; configuration may write them in snake case. */
export interface Template<Inner extends Fields = Fields> {
  readonly name: string
  readonly variety: Variety
  readonly fields: Inner
  /** For attribute generators: what a handler gives, by name, for `$out.name` in the bindings. */
  readonly output?: Readonly<Record<string, ValueType>>
}

/** States a template; gives it back with exact types. */
export function template<Inner extends Fields>(definition: Template<Inner>): Template<Inner> {
  return definition
}

export function required<Type extends FieldType>(type: Type): ExpressionField<Type, 'required'> {
  return { kind: 'expression', type, presence: 'required' }
}

export function optional<Type extends FieldType>(type: Type): ExpressionField<Type, 'optional'> {
  return { kind: 'expression', type, presence: 'optional' }
}

export function text(): ExpressionField<'STRING', 'text'> {
  return { kind: 'expression', type: 'STRING', presence: 'text' }
}

export function mapOf<Type extends FieldType>(type: Type): MapField<Type> {
  return { kind: 'map', type }
}

export function message<Inner extends Fields>(fields: Inner): MessageField<Inner> {
  return { kind: 'message', fields }
}
