import { tokenLower, valueByte } from '../../h1/bytes.ts'
import { headerName, slotCount, slotNames, slotOf } from '../../header-name.ts'

/** What a field's name means to a message (RFC 9113 section 8). */
export const fieldKind = {
  regular: 0,
  contentLength: 1,
  cookie: 2,
  host: 3,
  te: 4,
  /** Kinds from here on are no ordinary field. */
  method: 5,
  scheme: 6,
  authority: 7,
  path: 8,
  protocol: 9,
  status: 10,
  unknownPseudo: 11,
  /** Upper case, an empty name, or bytes that no name has. */
  invalidName: 12,
  /** Belongs to a connection of HTTP/1.1 (section 8.2.2). */
  connectionSpecific: 13,
  invalidValue: 14,
} as const

/** The first kind that is no ordinary field. */
export const firstPseudo = fieldKind.method

const pseudoKinds = new Map<string, number>([
  [':method', fieldKind.method],
  [':scheme', fieldKind.scheme],
  [':authority', fieldKind.authority],
  [':path', fieldKind.path],
  [':protocol', fieldKind.protocol],
  [':status', fieldKind.status],
])

const kindOfSlot = new Uint8Array(slotCount)
for (const name of ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']) {
  kindOfSlot[headerName(name).slot] = fieldKind.connectionSpecific
}
kindOfSlot[headerName('content-length').slot] = fieldKind.contentLength
kindOfSlot[headerName('cookie').slot] = fieldKind.cookie
kindOfSlot[headerName('host').slot] = fieldKind.host
kindOfSlot[headerName('te').slot] = fieldKind.te

/** 1: fields with a name of this slot stay behind when a message goes out by HTTP/2. */
export const staysBehind = new Uint8Array(slotCount)
for (let slot = 1; slot < slotCount; slot++) {
  const kind = kindOfSlot[slot]
  if (kind === fieldKind.connectionSpecific || slotNames[slot] === 'host') staysBehind[slot] = 1
}

/** The slot that `kindOfName` found, beside the kind; read it at once. */
export const found = { slot: 0 }

/** The kind of the name in this range; its slot stands in `found`. */
export function kindOfName(bytes: Buffer, start: number, end: number): number {
  found.slot = 0
  if (start === end) return fieldKind.invalidName
  if (bytes[start] === 58) return pseudoKinds.get(bytes.latin1Slice(start, end)) ?? fieldKind.unknownPseudo
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    // What is no byte of a token is 0 in the table, as NUL itself is.
    if (byte === 0 || tokenLower[byte] !== byte) return fieldKind.invalidName
  }
  const slot = slotOf(bytes, start, end)
  found.slot = slot
  return kindOfSlot[slot]!
}

/** Whether a value has no control bytes (section 8.2.1). */
export function isValidValue(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (valueByte[bytes[i]!] === 0) return false
  return true
}

export function isBlank(byte: number | undefined): boolean {
  return byte === 32 || byte === 9
}
