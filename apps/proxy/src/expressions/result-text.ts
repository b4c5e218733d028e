import { formatDuration, formatTimestamp } from '@weft/expressions/cel/time'
import { CelDuration, CelError, CelMap, type CelResult, CelTimestamp, CelType, CelUint } from '@weft/expressions/cel/values'
import { shownNumber } from '../shown-number.ts'
import { MetadataValue } from './metadata-value.ts'

/** What an expression gave, as logs and descriptors have it; null: it gave an error. Lists, maps and types are only named, metadata are written out. */
export function resultText(value: CelResult): string | null {
  if (value instanceof CelError) return null
  if (value === null) return 'NULL'
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
      return shownNumber(value)
    case 'bigint':
    case 'boolean':
      return String(value)
    default:
      if (value instanceof Uint8Array) return Buffer.from(value).toString()
      if (value instanceof CelUint) return String(value.value)
      if (value instanceof CelDuration) return formatDuration(value)
      if (value instanceof CelTimestamp) return formatTimestamp(value)
      if (value instanceof MetadataValue) return value.text
      if (value instanceof CelMap) return 'CelMap value'
      return value instanceof CelType ? 'CelType value' : 'CelList value'
  }
}
