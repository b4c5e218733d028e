import { type InstanceOf, mapOf, optional, template, text } from './template.ts'

/** One line of a log. */
export const logentry = template({
  name: 'logentry',
  variety: 'report',
  fields: {
    variables: mapOf('ANY'),
    timestamp: optional('TIMESTAMP'),
    severity: text(),
    monitoredResourceType: text(),
    monitoredResourceDimensions: mapOf('ANY'),
  },
})

export type LogEntryInstance = InstanceOf<typeof logentry>
