import { z } from 'zod'

/** A text that YAML may have taken for a number. */
const text = z.union([z.string(), z.number(), z.boolean()]).transform(String)

/** Kubernetes' `LabelSelector`: all of both have to hold. */
export const labelSelectorSchema = z.looseObject({
  matchLabels: z.record(z.string(), text).optional(),
  matchExpressions: z
    .array(
      z.looseObject({
        key: z.string(),
        operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: z.array(text).optional(),
      }),
    )
    .optional(),
})
export type LabelSelector = z.infer<typeof labelSelectorSchema>

/** Whether a selector selects what has these labels; an empty one selects all. */
export function selects(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (!Object.entries(matchLabels).every(([key, value]) => labels[key] === value)) return false
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key]
    if (operator === 'Exists') return value !== undefined
    if (operator === 'DoesNotExist') return value === undefined
    const listed = value !== undefined && values.includes(value)
    return operator === 'In' ? listed : !listed
  })
}
