import { type InstanceOf, template } from './template.ts'

/** For handlers that decide without looking at the request. */
export const checknothing = template({ name: 'checknothing', variety: 'check', fields: {} })

export type CheckNothingInstance = InstanceOf<typeof checknothing>
