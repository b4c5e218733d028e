import { isValueType, VALUE_TYPES, type ValueType } from '@weft/attributes/types'
import { z } from 'zod'
import { protoMessage } from '../../adapters/fields.ts'
import type { MixerObject, Report } from '../mixer-object.ts'
import { parseSpec } from '../parse-spec.ts'

const schema = protoMessage({
  revision: z.string().optional(),
  name: z.string().optional(),
  attributes: z.record(z.string(), protoMessage({ description: z.string().optional(), valueType: z.string() })).default({}),
})

/** Adds a manifest's attributes to those known. A type that contradicts an earlier manifest is reported, and not taken. */
export function addManifest(
  object: MixerObject,
  known: Map<string, { type: ValueType; declaredBy: MixerObject }>,
  report: Report,
): void {
  const spec = parseSpec(object, schema, report)
  for (const [attribute, { valueType }] of Object.entries(spec?.attributes ?? {})) {
    const path = ['spec', 'attributes', attribute]
    if (!isValueType(valueType)) {
      report(object, [...path, 'valueType'], `'${valueType}' is no type of attributes`, `write ${VALUE_TYPES.join(', ')}`)
      continue
    }
    const before = known.get(attribute)
    if (before === undefined) known.set(attribute, { type: valueType, declaredBy: object })
    else if (before.type !== valueType) {
      const { document } = before.declaredBy.raw
      report(
        object,
        path,
        `'${attribute}' is ${before.type} already, by ${document.file}:${document.line}`,
        'give it one type everywhere',
      )
    }
  }
}
