import { type InstanceOf, template } from './template.ts'

/** For handlers that only need to know that something happened. */
export const reportnothing = template({ name: 'reportnothing', variety: 'report', fields: {} })

export type ReportNothingInstance = InstanceOf<typeof reportnothing>
