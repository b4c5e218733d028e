import type { HeaderCasing } from '../header-casing.ts'
import { copyBytes, type HeaderTable, writeCased } from '../header-table.ts'
import type { ByteSink } from '../stream.ts'

// An `import` of node:http loads undici too, for the names that it lends the module: 25 ms of every start.
const { STATUS_CODES } = process.getBuiltinModule('node:http')

const statusLines: Buffer[] = []
/** Reason phrases where Envoy's differ from Node's. */
const reasons: Record<number, string> = {
  102: 'Unknown',
  103: 'Unknown',
  418: 'Unknown',
  451: 'Unknown',
  509: 'Unknown',
  599: 'Last Unassigned Server Error Code',
}

/** The status line, made once a status. */
export function statusLine(status: number): Buffer {
  let line = statusLines[status]
  if (line === undefined) {
    line = Buffer.from(`HTTP/1.1 ${status} ${reasons[status] ?? STATUS_CODES[status] ?? 'Unknown'}\r\n`, 'latin1')
    if (status >= 100 && status < 1000) statusLines[status] = line
  }
  return line
}

/** A status line with words of somebody else's. */
export function statusLineWith(status: number, reason: string): Buffer {
  return Buffer.from(`HTTP/1.1 ${status} ${reason}\r\n`, 'latin1')
}

export const lines = {
  chunked: Buffer.from('transfer-encoding: chunked\r\n'),
  emptyLength: Buffer.from('content-length: 0\r\n'),
  close: Buffer.from('connection: close\r\n'),
  keepAlive: Buffer.from('connection: keep-alive\r\n'),
  host: Buffer.from('host: '),
  version: Buffer.from(' HTTP/1.1\r\n'),
  continue: Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'),
  lastChunk: Buffer.from('0\r\n\r\n'),
}

/** A line of `lines` with its name in another case. */
export function putLine(line: Buffer, casing: HeaderCasing | null, out: Buffer, at: number): number {
  if (casing === null) return put(line, out, at)
  const colon = line.indexOf(58)
  const named = at + out.latin1Write(casing.nameOf(line.latin1Slice(0, colon)), at)
  return copyBytes(line, colon, line.length, out, named)
}

/** Writes all headers, in this case of names. */
export function putHeaders(headers: HeaderTable, casing: HeaderCasing | null, out: Buffer, at: number): number {
  return casing === null ? headers.write(out, at) : writeCased(headers, casing, out, at)
}

/** Writes all of `bytes`. */
export function put(bytes: Buffer, out: Buffer, at: number): number {
  return copyBytes(bytes, 0, bytes.length, out, at)
}

const hexDigits = Buffer.from('0123456789abcdef')

/** Writes a body piece as it is, or as one chunk. */
export function putData(sink: ByteSink, buffer: Buffer, start: number, end: number, chunked: boolean): void {
  const length = end - start
  if (length === 0) return
  const out = sink.reserve(length + 16)
  let at = sink.position
  if (chunked) {
    let shift = 28
    while (shift > 0 && length >>> shift === 0) shift -= 4
    for (; shift >= 0; shift -= 4) out[at++] = hexDigits[(length >>> shift) & 15]!
    out[at++] = 13
    out[at++] = 10
  }
  at = copyBytes(buffer, start, end, out, at)
  if (chunked) {
    out[at++] = 13
    out[at++] = 10
  }
  sink.commit(at)
}

/** Writes the last chunk, with trailers where there are. */
export function putLastChunk(sink: ByteSink, trailers: HeaderTable | null): void {
  if (trailers === null) {
    const out = sink.reserve(5)
    sink.commit(put(lines.lastChunk, out, sink.position))
    return
  }
  const out = sink.reserve(trailers.writeBound + 5)
  let at = sink.position
  out[at++] = 48
  out[at++] = 13
  out[at++] = 10
  at = trailers.write(out, at)
  out[at++] = 13
  out[at++] = 10
  sink.commit(at)
}
