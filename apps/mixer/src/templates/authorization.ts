import { type InstanceOf, mapOf, message, template, text } from './template.ts'

/** Who wants to do what. */
export const authorization = template({
  name: 'authorization',
  variety: 'check',
  fields: {
    subject: message({ user: text(), groups: text(), properties: mapOf('ANY') }),
    action: message({ namespace: text(), service: text(), method: text(), path: text(), properties: mapOf('ANY') }),
  },
})

export type AuthorizationInstance = InstanceOf<typeof authorization>
