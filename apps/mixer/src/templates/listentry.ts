import { type InstanceOf, required, template } from './template.ts'

/** One value to look up in a list. */
export const listentry = template({ name: 'listentry', variety: 'check', fields: { value: required('STRING') } })

export type ListEntryInstance = InstanceOf<typeof listentry>
