import { parseDuration } from '@weft/attributes/duration'
import { z } from 'zod'

/**
 * A message as the proto3 JSON form allows: unknown fields are refused, and each field may be written in camel case or
 * in snake case.
 */
export function protoMessage<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.preprocess((value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value ?? {}
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, field]) => field !== null)
        .map(([key, field]) => {
          const camel = camelCase(key)
          return [Object.hasOwn(shape, key) || !Object.hasOwn(shape, camel) ? key : camel, field]
        }),
    )
  }, z.strictObject(shape))
}

/** `max_amount` → `maxAmount`. */
export function camelCase(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** A duration such as `1.5s` or `5m`, in milliseconds. */
function durationMs() {
  return z.string().transform((text, context) => {
    const duration = parseDuration(text)
    if (duration !== undefined) return duration.milliseconds
    context.addIssue({ code: 'custom', message: `'${text}' is not a duration; write 500ms, 1.5s or 5m` })
    return z.NEVER
  })
}

/** A duration of which negative ones make no sense. */
export function positiveDurationMs() {
  return durationMs().refine((ms) => ms >= 0, 'must not be negative')
}

/** A whole number, also in the quoted form that proto3 JSON gives int64. */
export function int64() {
  return z.union([
    z.number().int(),
    z
      .string()
      .regex(/^-?\d{1,15}$/, 'must be a whole number')
      .transform(Number),
  ])
}

/** A map with string values; numbers and booleans that YAML made of unquoted text are taken as that text. */
export function stringMap() {
  return z.record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean()]).transform((value) => String(value)),
  )
}
