import type { IncomingHttpHeaders } from 'node:http'

/**
 * Headers that an application hands on to the services it calls, so that the calls of one request belong together:
 * the tracing headers of the usual systems, and what tells the services who the end user is.
 */
const forwardedHeaders: readonly string[] = [
  'x-request-id',
  'x-ot-span-context',
  'x-datadog-trace-id',
  'x-datadog-parent-id',
  'x-datadog-sampling-priority',
  'traceparent',
  'tracestate',
  'baggage',
  'x-cloud-trace-context',
  'grpc-trace-bin',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'sw8',
  'end-user',
  'user-agent',
  'cookie',
  'authorization',
  'jwt',
]

/** The headers of a request that go on to the next service. */
export function headersToForward(headers: IncomingHttpHeaders): Record<string, string> {
  const forwarded: Record<string, string> = {}
  for (const name of forwardedHeaders) {
    const value = headers[name]
    if (value !== undefined) forwarded[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return forwarded
}
