import { BinaryWriter } from '@bufbuild/protobuf/wire'
import type { Span, TagKind } from './span.ts'

/** What makes the spans, and for whom. */
export interface OtlpSource {
  /** Attributes by name. */
  resource: ReadonlyMap<string, string>
  /** Of the instrumentation scope; null: none is told. */
  version: string | null
}

const text = 2
const fixed64 = 1
const fixed32 = 5
const number = 0

function key(writer: BinaryWriter, field: number, type: number): BinaryWriter {
  return writer.uint32((field << 3) | type)
}

/** A value that is not of its kind stays text. */
function attribute(writer: BinaryWriter, field: number, name: string, value: string, kind: TagKind = 'text'): void {
  key(writer, field, text).fork()
  key(writer, 1, text).string(name)
  key(writer, 2, text).fork()
  const plain = value.trim()
  if (kind === 'bool' && /^(?:true|false)$/i.test(plain)) key(writer, 2, number).bool(plain.toLowerCase() === 'true')
  else if (kind === 'int' && isInt64(plain)) key(writer, 3, number).int64(plain.replace('+', ''))
  else if (kind === 'double' && plain !== '' && !Number.isNaN(Number(plain))) key(writer, 4, fixed64).double(Number(plain))
  else key(writer, 1, text).string(value)
  writer.join().join()
}

function isInt64(value: string): boolean {
  return /^[+-]?\d{1,30}$/.test(value) && BigInt.asIntN(64, BigInt(value.replace('+', ''))) === BigInt(value.replace('+', ''))
}

function nanos(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n)
}

/** An ExportTraceServiceRequest (OTLP 1.x, opentelemetry/proto/collector/trace/v1), in protobuf. */
export function encodeSpans(spans: readonly Span[], { resource, version }: OtlpSource): Uint8Array {
  const writer = new BinaryWriter()
  key(writer, 1, text).fork()
  key(writer, 1, text).fork()
  for (const [name, value] of resource) attribute(writer, 1, name, value)
  writer.join()
  key(writer, 2, text).fork()
  if (version !== null) {
    key(writer, 1, text).fork()
    key(writer, 1, text).string('weft')
    key(writer, 2, text).string(version)
    writer.join()
  }
  for (const span of spans) encodeSpan(writer, span)
  return writer.join().join().finish()
}

const isRemoteKnown = 0x100
const isRemote = 0x200

function encodeSpan(writer: BinaryWriter, span: Span): void {
  key(writer, 2, text).fork()
  key(writer, 1, text).bytes(Buffer.from(span.traceId.padStart(32, '0'), 'hex'))
  key(writer, 2, text).bytes(Buffer.from(span.spanId, 'hex'))
  if (span.traceState !== '') key(writer, 3, text).string(span.traceState)
  if (span.parentId !== '') key(writer, 4, text).bytes(Buffer.from(span.parentId, 'hex'))
  key(writer, 5, text).string(span.name)
  key(writer, 6, number).int32(span.kind === 'server' ? 2 : 3)
  key(writer, 7, fixed64).fixed64(nanos(span.startMs))
  key(writer, 8, fixed64).fixed64(nanos(span.endMs))
  for (const [name, value, kind] of span.tags) attribute(writer, 9, name, value, kind)
  for (const { name, timeMs } of span.events) {
    key(writer, 11, text).fork()
    key(writer, 1, fixed64).fixed64(nanos(timeMs))
    key(writer, 2, text).string(name)
    writer.join()
  }
  if (span.error) {
    key(writer, 15, text).fork()
    key(writer, 3, number).int32(2)
    writer.join()
  }
  key(writer, 16, fixed32).fixed32((span.sampled ? 1 : 0) | isRemoteKnown | (span.remoteParent ? isRemote : 0))
  writer.join()
}
