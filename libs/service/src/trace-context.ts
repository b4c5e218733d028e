/** Which trace a piece of work belongs to, as log lines carry it. */
export interface TraceFields {
  trace_id: string
  span_id: string
}

let source: (() => TraceFields | undefined) | undefined

/** The trace of the current work; undefined outside one, and always while tracing is off. */
export function traceFields(): TraceFields | undefined {
  return source?.()
}

/** Tells where the current trace is found; tracing does this when it starts, and takes it back with undefined when it stops. */
export function setTraceSource(next: (() => TraceFields | undefined) | undefined): void {
  source = next
}
