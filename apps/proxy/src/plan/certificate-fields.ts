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
}

const subjectAltName = '2.5.29.17'
const none: CertificateFields = { serial: '', issuer: '', subject: '', otherNames: [] }
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
  }
}

function otherNames(extensions: Buffer): CertificateFields['otherNames'] {
  for (const { content } of readElements(extensions)) {
    const parts = readElements(content)
    const [id] = parts
    const value = parts.at(-1)
    if (id === undefined || value === undefined || objectIdentifier(id.content) !== subjectAltName) continue
    const names = readElements(readElement(value.content)?.content ?? Buffer.alloc(0))
    return names.filter(({ tag }) => tag === derTag.context(0)).map((name) => otherName(name.content))
  }
  return []
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
