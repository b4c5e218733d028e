import type { z } from 'zod'
import type { MixerObject, Report } from './mixer-object.ts'

/** An object's spec by a schema; what is wrong is reported with its path, and gives undefined. */
export function parseSpec<Schema extends z.ZodType>(
  object: MixerObject,
  schema: Schema,
  report: Report,
): z.output<Schema> | undefined {
  const read = schema.safeParse(object.spec ?? {})
  if (read.success) return read.data
  reportIssues(object, ['spec'], read.error, report)
  return undefined
}

/** Reports a schema's error, issue by issue; `base` is the path of what was parsed. */
export function reportIssues(object: MixerObject, base: readonly PropertyKey[], error: z.core.$ZodError, report: Report): void {
  for (const issue of error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys)
        report(object, [...base, ...issue.path, key], `unknown field '${key}'`, 'remove it, or correct its name')
    } else report(object, [...base, ...issue.path], issue.message)
  }
}
