import { WeftError } from '@weft/service/errors'
import asn1, { type Asn1 } from 'node-forge/lib/asn1.js'

export type { Asn1 }

/** ASN.1 tag numbers that X.509 uses. */
export const tag = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  null: 5,
  oid: 6,
  utf8String: 12,
  sequence: 16,
  set: 17,
  printableString: 19,
  utcTime: 23,
  generalizedTime: 24,
} as const

const universal = 0
const contextSpecific = 0x80

/** Reads one DER value that fills the input. Throws `invalid_argument` with `what` when it is not DER. */
export function readDer(bytes: Buffer, what: string): Asn1 {
  try {
    return asn1.fromDer(bytes.toString('latin1'), { strict: true, parseAllBytes: true, decodeBitStrings: false })
  } catch (cause) {
    throw new WeftError('invalid_argument', `${what} is not DER: ${WeftError.from(cause).message}`, { cause })
  }
}

/** The DER bytes of a tree. */
export function writeDer(node: Asn1): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), 'latin1')
}

/** The members of a constructed value with this universal tag; throws `invalid_argument` when it is something else. */
export function membersOf(node: Asn1 | undefined, type: number, what: string): Asn1[] {
  if (node === undefined || node.tagClass !== universal || node.type !== type || typeof node.value === 'string') {
    throw new WeftError('invalid_argument', `${what} has the wrong ASN.1 type`)
  }
  return node.value
}

/** The content bytes of a primitive value with this universal tag; throws `invalid_argument` when it is something else. */
export function bytesOf(node: Asn1 | undefined, type: number, what: string): Buffer {
  if (node === undefined || node.tagClass !== universal || node.type !== type || typeof node.value !== 'string') {
    throw new WeftError('invalid_argument', `${what} has the wrong ASN.1 type`)
  }
  return Buffer.from(node.value, 'latin1')
}

/** The content of a BIT STRING of whole bytes. */
export function bitStringOf(node: Asn1 | undefined, what: string): Buffer {
  const bytes = bytesOf(node, tag.bitString, what)
  if (bytes[0] !== 0) throw new WeftError('invalid_argument', `${what} is not a whole number of bytes`)
  return bytes.subarray(1)
}

/** An object identifier in dotted form. */
export function oidOf(node: Asn1 | undefined, what: string): string {
  const bytes = bytesOf(node, tag.oid, what)
  if (bytes.length === 0) throw new WeftError('invalid_argument', `${what} is an empty object identifier`)
  return asn1.derToOid(bytes.toString('latin1'))
}

/** The content of a context-specific primitive value (`[6] IMPLICIT …`). */
export function contextBytesOf(node: Asn1, what: string): Buffer {
  if (node.tagClass !== contextSpecific || typeof node.value !== 'string') {
    throw new WeftError('invalid_argument', `${what} has the wrong ASN.1 type`)
  }
  return Buffer.from(node.value, 'latin1')
}

/** Whether a value carries the context-specific tag `[number]`. */
export function hasContextTag(node: Asn1 | undefined, number: number): node is Asn1 {
  return node?.tagClass === contextSpecific && node.type === number
}

export function sequence(...members: Asn1[]): Asn1 {
  return asn1.create(universal, tag.sequence, true, members)
}

export function set(...members: Asn1[]): Asn1 {
  return asn1.create(universal, tag.set, true, members)
}

/** An OBJECT IDENTIFIER. Each is encoded once: only those in this code come here, so they are few. */
export function oid(dotted: string): Asn1 {
  let bytes = encodedOids.get(dotted)
  if (bytes === undefined) {
    bytes = asn1.oidToDer(dotted).getBytes()
    encodedOids.set(dotted, bytes)
  }
  return primitive(tag.oid, bytes)
}

const encodedOids = new Map<string, string>()

/** An INTEGER from unsigned big-endian bytes. */
export function integer(bytes: Buffer): Asn1 {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1
  const shortest = bytes.subarray(start)
  const signed = (shortest[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), shortest]) : shortest
  return primitive(tag.integer, signed.toString('latin1'))
}

export function boolean(value: boolean): Asn1 {
  return primitive(tag.boolean, value ? '\xff' : '\x00')
}

export function nothing(): Asn1 {
  return primitive(tag.null, '')
}

export function utf8String(text: string): Asn1 {
  return primitive(tag.utf8String, Buffer.from(text, 'utf8').toString('latin1'))
}

export function octetString(bytes: Buffer): Asn1 {
  return primitive(tag.octetString, bytes.toString('latin1'))
}

/** A BIT STRING of whole bytes, or with `unusedBits` at the end of the last byte. */
export function bitString(bytes: Buffer, unusedBits = 0): Asn1 {
  return primitive(tag.bitString, String.fromCharCode(unusedBits) + bytes.toString('latin1'))
}

/** `[number] EXPLICIT` or a constructed implicit value around members. */
export function contextConstructed(number: number, ...members: Asn1[]): Asn1 {
  return asn1.create(contextSpecific, number, true, members)
}

/** `[number] IMPLICIT` of a primitive type. */
export function contextPrimitive(number: number, bytes: Buffer): Asn1 {
  return asn1.create(contextSpecific, number, false, bytes.toString('latin1'))
}

/** A time of X.509: UTCTime to the year 2049, GeneralizedTime after (RFC 5280, section 4.1.2.5). Whole seconds. */
export function time(date: Date): Asn1 {
  const year = date.getUTCFullYear()
  if (year < 0 || year > 9999) throw new WeftError('invalid_argument', `the year ${year} cannot stand in a certificate`)
  const iso = date.toISOString()
  const digits = `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 10)}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`
  return year >= 1950 && year < 2050 ? primitive(tag.utcTime, digits.slice(2)) : primitive(tag.generalizedTime, digits)
}

function primitive(type: number, bytes: string): Asn1 {
  return asn1.create(universal, type, false, bytes)
}
