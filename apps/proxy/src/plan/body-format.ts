import type { SubstitutionFormatString } from '@weft/contracts/envoy/config/core/v3/substitution_format_string'
import { compileLogFormat } from '../observe/access-log/access-log.ts'
import type { TextFormat } from '../observe/format/text-format.ts'

/** How an answer of the proxy's own is written. */
export interface BodyFormat {
  text: TextFormat
  contentType: string
  /** Whether the configuration says so, or JSON does. */
  hasType: boolean
}

/** Compiles the format of a body; null: there is none. */
export function compileBodyFormat(source: SubstitutionFormatString | undefined, path: string): BodyFormat | null {
  if (source === undefined) return null
  const json = source.format?.$case === 'jsonFormat'
  return {
    text: compileLogFormat(source, path),
    contentType: source.contentType !== '' ? source.contentType : json ? 'application/json' : 'text/plain',
    hasType: source.contentType !== '' || json,
  }
}
