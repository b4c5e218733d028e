import { type InstanceOf, mapOf, required, template, text } from './template.ts'

/** One measurement with its dimensions. */
export const metric = template({
  name: 'metric',
  variety: 'report',
  fields: {
    value: required('ANY'),
    dimensions: mapOf('ANY'),
    monitoredResourceType: text(),
    monitoredResourceDimensions: mapOf('ANY'),
  },
})

export type MetricInstance = InstanceOf<typeof metric>
