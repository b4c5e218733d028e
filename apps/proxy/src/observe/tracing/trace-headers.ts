import { headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { Span } from './span.ts'

/** What a request says of the trace that it belongs to. */
export interface TraceContext {
  traceId: string
  spanId: string
  parentId: string
  /** null: not decided yet. */
  sampled: boolean | null
  traceState: string
}

const traceparent = headerName('traceparent')
const tracestate = headerName('tracestate')
const b3 = headerName('b3')
const b3TraceId = headerName('x-b3-traceid')
const b3SpanId = headerName('x-b3-spanid')
const b3ParentId = headerName('x-b3-parentspanid')
const b3Sampled = headerName('x-b3-sampled')
const b3Flags = headerName('x-b3-flags')

/** W3C Trace Context (traceparent of version 00 or later, tracestate); null: there is none, or none that is valid. */
export function readW3c(headers: HeaderTable): TraceContext | null {
  const match = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(headers.get(traceparent) ?? '')
  if (match === null) return null
  const [, version = '', traceId = '', spanId = '', flags = '', more] = match
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId) || (version === '00' && more !== undefined)) return null
  return {
    traceId,
    spanId,
    parentId: '',
    sampled: (Number.parseInt(flags, 16) & 1) === 1,
    traceState: headers.getAll(tracestate) ?? '',
  }
}

export function writeW3c(span: Span, headers: HeaderTable): void {
  headers.set(traceparent, `00-${span.traceId.padStart(32, '0')}-${span.spanId}-0${span.sampled ? 1 : 0}`)
  headers.set(tracestate, span.traceState)
}

/** What B3 headers say, in one (`b3`) or in several (`x-b3-…`); an id that is none makes all of it void. */
export function readB3(headers: HeaderTable): (TraceContext | { sampled: boolean | null }) | null {
  const single = headers.get(b3)
  if (single !== null) return readSingle(single)
  const traceId = headers.get(b3TraceId)
  const spanId = headers.get(b3SpanId)
  const decision = headers.get(b3Flags) === '1' ? true : decisionOf(headers.get(b3Sampled))
  if (traceId === null || spanId === null) return decision === null ? null : { sampled: decision }
  return contextOf(traceId, spanId, headers.get(b3ParentId) ?? '', decision)
}

function readSingle(text: string): ReturnType<typeof readB3> {
  const [traceId = '', spanId, decision, parentId = ''] = text.split('-')
  if (spanId === undefined) return { sampled: decisionOf(traceId) }
  return contextOf(traceId, spanId, parentId, decisionOf(decision ?? null))
}

function decisionOf(text: string | null): boolean | null {
  if (text === '1' || text === 'true' || text === 'd') return true
  return text === '0' || text === 'false' ? false : null
}

function contextOf(traceId: string, spanId: string, parentId: string, sampled: boolean | null): TraceContext | null {
  const valid =
    /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i.test(traceId) && /^[0-9a-f]{16}$/i.test(spanId) && /^(?:[0-9a-f]{16})?$/i.test(parentId)
  return valid ? { traceId: traceId.toLowerCase(), spanId: spanId.toLowerCase(), parentId, sampled, traceState: '' } : null
}

/** In the form that the request itself has: one header, or several. */
export function writeB3(span: Span, headers: HeaderTable): void {
  if (headers.has(b3)) {
    const parent = span.parentId === '' ? '' : `-${span.parentId}`
    headers.set(b3, `${span.traceId}-${span.spanId}-${span.sampled ? 1 : 0}${parent}`)
    return
  }
  headers.set(b3TraceId, span.traceId)
  headers.set(b3SpanId, span.spanId)
  if (span.parentId !== '') headers.set(b3ParentId, span.parentId)
  headers.set(b3Sampled, span.sampled ? '1' : '0')
}
