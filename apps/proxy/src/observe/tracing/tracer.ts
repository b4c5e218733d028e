import type { HeaderTable } from '@weft/http/header-table'
import type { Span } from './span.ts'

/** How traces go on in headers, and who is told of spans. */
export interface Tracer {
  /** Spans are named by the host that is asked, and logs don't tell their ids. */
  readonly namedByHost: boolean
  /** The span of a request that came; `sampled` counts where its headers don't say. */
  start(headers: HeaderTable, name: string, kind: Span['kind'], startMs: number, sampled: boolean): Span
  /** The span of a request that goes out for another. */
  child(parent: Span, name: string, startMs: number): Span
  /** Tells who gets the request. */
  inject(span: Span, headers: HeaderTable): void
  /** The span is over. */
  report(span: Span): void
  close(): void
}
