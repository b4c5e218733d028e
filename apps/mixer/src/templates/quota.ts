import { type InstanceOf, mapOf, template } from './template.ts'

/** What a quota is counted by: each distinct set of dimensions has a count of its own. */
export const quota = template({ name: 'quota', variety: 'quota', fields: { dimensions: mapOf('ANY') } })

export type QuotaInstance = InstanceOf<typeof quota>
