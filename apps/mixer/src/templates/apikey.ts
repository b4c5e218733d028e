import { type InstanceOf, optional, required, template, text } from './template.ts'

/** An API call and the key that it came with. */
export const apikey = template({
  name: 'apikey',
  variety: 'check',
  fields: {
    api: text(),
    apiVersion: text(),
    apiOperation: text(),
    apiKey: required('STRING'),
    timestamp: optional('TIMESTAMP'),
  },
})

export type ApiKeyInstance = InstanceOf<typeof apikey>
