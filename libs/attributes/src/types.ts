import type { Duration } from './duration.ts'

/** The types that an attribute may have (istio.policy.v1beta1.ValueType, without its unspecified 0). */
export const VALUE_TYPES = [
  'STRING',
  'INT64',
  'DOUBLE',
  'BOOL',
  'TIMESTAMP',
  'IP_ADDRESS',
  'EMAIL_ADDRESS',
  'URI',
  'DNS_NAME',
  'DURATION',
  'STRING_MAP',
] as const

export type ValueType = (typeof VALUE_TYPES)[number]

export type StringMap = ReadonlyMap<string, string>

/**
 * An attribute's value as a bag holds it. The JavaScript type tells the wire type, so that a bag can be
 * encoded without a manifest:
 *
 * | wire        | here         | value types                            |
 * |-------------|--------------|----------------------------------------|
 * | string      | `string`     | STRING, EMAIL_ADDRESS, URI, DNS_NAME   |
 * | int64       | `bigint`     | INT64 (exact over the whole range)     |
 * | double      | `number`     | DOUBLE                                 |
 * | bool        | `boolean`    | BOOL                                   |
 * | timestamp   | `Date`       | TIMESTAMP (milliseconds)               |
 * | duration    | `Duration`   | DURATION                               |
 * | bytes       | `Uint8Array` | IP_ADDRESS (4 or 16 bytes)             |
 * | string map  | `Map`        | STRING_MAP                             |
 */
export type AttributeValue = string | bigint | number | boolean | Date | Duration | Uint8Array | StringMap

/** True for the name of a value type. */
export function isValueType(name: string): name is ValueType {
  return VALUE_TYPES.some((type) => type === name)
}
