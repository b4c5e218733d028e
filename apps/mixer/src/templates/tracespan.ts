import { type InstanceOf, mapOf, optional, required, template, text } from './template.ts'

/** One span of a distributed trace. */
export const tracespan = template({
  name: 'tracespan',
  variety: 'report',
  fields: {
    traceId: text(),
    spanId: text(),
    parentSpanId: text(),
    spanName: text(),
    startTime: required('TIMESTAMP'),
    endTime: required('TIMESTAMP'),
    spanTags: mapOf('ANY'),
    httpStatusCode: optional('INT64'),
    clientSpan: optional('BOOL'),
    rewriteClientSpanId: optional('BOOL'),
    sourceName: text(),
    sourceIp: optional('IP_ADDRESS'),
    destinationName: text(),
    destinationIp: optional('IP_ADDRESS'),
    requestSize: optional('INT64'),
    requestTotalSize: optional('INT64'),
    responseSize: optional('INT64'),
    responseTotalSize: optional('INT64'),
    apiProtocol: text(),
  },
})

export type TraceSpanInstance = InstanceOf<typeof tracespan>
