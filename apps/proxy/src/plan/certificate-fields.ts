import type { X509Certificate } from 'node:crypto'
import { derTag, objectIdentifier, readElement, readElements } from './der.ts'

/** What Node does not tell of a certificate (RFC 5280 section 4.1). */
export interface CertificateFields {
  /** Serial number and names as they are written, in hexadecimal. */
  readonly serial: string
  readonly issuer: string
  readonly subject: string
  /** Subject alternative names of kinds of their own: the kind's identifier, and the value where it is text. */
  readonly otherNames: readonly { readonly oid: string; readonly value: string }[]
  /** What the key is for (section 4.2.1.3), in bits from the highest one of a byte on; null: for anything. */
  readonly keyUsage: number | null
}

/** Bits of `keyUsage`. */
export const keyUsages = { digitalSignature: 0x80, keyEncipherment: 0x20 } as const

const subjectAltName = '2.5.29.17'
const keyUsage = '2.5.29.15'
const none: CertificateFields = { serial: '', issuer: '', subject: '', otherNames: [], keyUsage: null }
const known = new WeakMap<X509Certificate, CertificateFields>()

/** Reads a certificate's own bytes; each once. */
export function certificateFields(certificate: X509Certificate): CertificateFields {
  let fields = known.get(certificate)
  if (fields === undefined) {
    fields = read(certificate.raw)
    known.set(certificate, fields)
  }
  return fields
}

function read(raw: Buffer): CertificateFields {
  const [body] = readElements(readElement(raw)?.content ?? Buffer.alloc(0))
  if (body === undefined) return none
  const fields = readElements(body.content)
  // The version stands before all others, where it is not the first one.
  if (fields[0]?.tag === derTag.context(0)) fields.shift()
  const [serial, , issuer, , subject] = fields
  const extensions = fields.find(({ tag }) => tag === derTag.context(3))
  const list = extensions === undefined ? null : readElement(extensions.content)
  return {
    serial: hex(serial?.content),
    issuer: hex(issuer?.whole),
    subject: hex(subject?.whole),
    otherNames: list === null ? [] : otherNames(list.content),
    keyUsage: list === null ? null : usageBits(list.content),
  }
}

/** What an extension says, in its own encoding; null: it is not there. */
function extension(extensions: Buffer, wanted: string): Buffer | null {
  for (const { content } of readElements(extensions)) {
    const parts = readElements(content)
    const [id] = parts
    const value = parts.at(-1)
    if (id === undefined || value === undefined || objectIdentifier(id.content) !== wanted) continue
    return readElement(value.content)?.content ?? Buffer.alloc(0)
  }
  return null
}

function otherNames(extensions: Buffer): CertificateFields['otherNames'] {
  return readElements(extension(extensions, subjectAltName) ?? Buffer.alloc(0))
    .filter(({ tag }) => tag === derTag.context(0))
    .map((name) => otherName(name.content))
}

/** A bit string: the number of bits that do not count, and the bits. */
function usageBits(extensions: Buffer): number | null {
  const bits = extension(extensions, keyUsage)
  return bits === null ? null : (bits[1] ?? 0)
}

/** `OtherName`: an identifier and, explicitly tagged, a value. */
function otherName(content: Buffer): { oid: string; value: string } {
  const [id, tagged] = readElements(content)
  const value = tagged === undefined ? null : readElement(tagged.content)
  return {
    oid: id === undefined ? '' : objectIdentifier(id.content),
    value: value === null ? '' : textOf(value.tag, value.content),
  }
}

const integer = derTag.integer
const bmpString = 0x1e

function textOf(tag: number, content: Buffer): string {
  if (tag === integer) return BigInt(`0x${content.toString('hex') || '0'}`).toString()
  if (tag === bmpString) return Buffer.from(content).swap16().toString('utf16le')
  return content.toString()
}

function hex(bytes: Buffer | undefined): string {
  return bytes?.toString('hex') ?? ''
}
