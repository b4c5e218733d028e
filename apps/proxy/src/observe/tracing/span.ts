import { randomFillSync } from 'node:crypto'

/** What a tag's value is, for those who are told of more than text. */
export type TagKind = 'text' | 'int' | 'double' | 'bool'

/** One operation of a trace, as it is told when it is over. */
export class Span {
  /** Hex: 32 digits, or 16 where the tracer's ids are short. */
  readonly traceId: string
  /** Hex, 16 digits. */
  readonly spanId: string
  /** Empty: the trace begins here. */
  readonly parentId: string
  /** Whether it is told to anyone; what is not goes on in headers all the same. */
  readonly sampled: boolean
  name: string
  readonly kind: 'server' | 'client'
  /** Wall clock, ms (fractions too). */
  readonly startMs: number
  endMs = 0
  /** W3C tracestate, as it came. */
  traceState = ''
  /** Another process is its parent. */
  remoteParent = false
  /** It has the id that its parent gave it (Zipkin). */
  shared = false
  error = false
  tags: [key: string, value: string, kind?: TagKind][] = []
  events: { name: string; timeMs: number }[] = []

  constructor(init: Pick<Span, 'traceId' | 'spanId' | 'parentId' | 'sampled' | 'name' | 'kind' | 'startMs'>) {
    this.traceId = init.traceId
    this.spanId = init.spanId
    this.parentId = init.parentId
    this.sampled = init.sampled
    this.name = init.name
    this.kind = init.kind
    this.startMs = init.startMs
  }

  tag(key: string, value: string, kind: TagKind = 'text'): void {
    this.tags.push([key, value, kind])
  }
}

/** Spans that wait for a collector that does not answer; more are dropped. */
export const maxSpans = 4096

const pool = Buffer.allocUnsafeSlow(4096)
let at = pool.length

/** A random id of that many bytes in hex, never all zeros. */
export function randomId(bytes: 8 | 16): string {
  if (at + bytes > pool.length) {
    randomFillSync(pool)
    at = 0
  }
  const id = pool.toString('hex', at, at + bytes)
  at += bytes
  return /^0+$/.test(id) ? randomId(bytes) : id
}
