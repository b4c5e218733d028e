/** Frame types and flags (RFC 9113 section 6). */
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const flag = {
  /** Of DATA and HEADERS. */
  endStream: 0x1,
  /** Of SETTINGS and PING. */
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const

export const frameHeaderSize = 9
/** What every peer takes in one frame, and the most that we take. */
export const defaultMaxFrameSize = 16384
/** The window that streams and connections begin with. */
export const defaultWindow = 65535
export const maxWindow = 0x7fffffff
export const maxStreamId = 0x7fffffff

/** What a client says first (RFC 9113 section 3.4). */
export const clientPreface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** So much of the preface no request of HTTP/1.1 begins with. */
const tellingLength = 'PRI * HTTP/2'.length

/**
 * Whether bytes begin as HTTP/2 does: `no` as soon as one differs, `more` while all agree but some are missing. For
 * listeners that take both protocols on one port.
 */
export function beginsWithPreface(bytes: Uint8Array, start: number, end: number): 'yes' | 'no' | 'more' {
  const length = Math.min(end - start, tellingLength)
  for (let i = 0; i < length; i++) if (bytes[start + i] !== clientPreface[i]) return 'no'
  return length === tellingLength ? 'yes' : 'more'
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
  return at + 4
}

/** Writes a frame header; gives the position behind it. */
export function writeFrameHeader(
  out: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  out[at] = length >>> 16
  out[at + 1] = length >>> 8
  out[at + 2] = length
  out[at + 3] = type
  out[at + 4] = flags
  return writeUint32(out, at + 5, streamId)
}
