import { z } from 'zod'
import { protoMessage } from '../../adapters/fields.ts'
import { isTemplateName, templates } from '../../templates/catalogue.ts'
import type { MixerObject, Report } from '../mixer-object.ts'
import { parseSpec } from '../parse-spec.ts'

const base64 = z
  .string()
  .nullish()
  .refine((text) => text === null || text === undefined || /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text), 'must be base64')

const adapter = protoMessage({
  description: z.string().nullish(),
  sessionBased: z.boolean().default(false),
  templates: z.array(z.string()).default([]),
  config: base64,
})

const template = protoMessage({ descriptor: base64 })

/** Checks the declaration of an out-of-process adapter: the templates that it serves have to be known. */
export function checkAdapterDeclaration(object: MixerObject, report: Report): void {
  const spec = parseSpec(object, adapter, report)
  spec?.templates.forEach((reference, index) => {
    const name = reference.split('.')[0] ?? ''
    if (!isTemplateName(name)) {
      report(
        object,
        ['spec', 'templates', index],
        `there is no template '${reference}'`,
        `there are ${Object.keys(templates).join(', ')}`,
      )
    }
  })
}

/** Checks the declaration of a template: it may say again what is known, and not add to it. */
export function checkTemplateDeclaration(object: MixerObject, report: Report): void {
  if (parseSpec(object, template, report) !== undefined && !isTemplateName(object.name)) {
    report(
      object,
      ['metadata', 'name'],
      `template '${object.name}' is not one of this Mixer's`,
      `there are ${Object.keys(templates).join(', ')}`,
    )
  }
}
