import { createHash, type KeyObject, randomBytes } from 'node:crypto'
import { WeftError } from '@weft/service/errors'
import {
  type Asn1,
  bitString,
  bitStringOf,
  boolean,
  bytesOf,
  contextConstructed,
  contextPrimitive,
  integer,
  membersOf,
  octetString,
  oid,
  oidOf,
  readDer,
  sequence,
  set,
  tag,
  time,
  utf8String,
  writeDer,
} from './der.ts'
import { createSignature, signatureAlgorithmOf } from './keys.ts'
import { algorithmIdentifier, oids } from './oids.ts'
import { writeSubjectNames } from './subject-names.ts'

/** A distinguished name as far as certificates here use one. */
export interface Subject {
  organization?: string
  commonName?: string
}

/** Who signs: a key, its name as it stands in its own certificate, and its key identifier. */
export interface Issuer {
  key: KeyObject
  /** The Name of the issuer, as DER. */
  name: Buffer
  keyIdentifier: Buffer
}

export interface CertificateFields {
  subject: Subject
  /** SubjectPublicKeyInfo, DER. */
  spki: Buffer
  names: { uris?: string[]; dns?: string[]; ips?: string[] }
  notBefore: Date
  notAfter: Date
  use: 'workload' | 'authority'
  /** 16 random bytes when absent. */
  serial?: Buffer
}

/** Bits of KeyUsage as DER writes them: first byte and unused bits (RFC 5280, section 4.2.1.3). */
const keyUsage = {
  workload: { bits: Buffer.of(0b1010_0000), unusedBits: 5 },
  authority: { bits: Buffer.of(0b0000_0110), unusedBits: 1 },
} as const

/**
 * Assembles and signs an X.509 v3 certificate; gives its DER. A workload's has the key usages digitalSignature and
 * keyEncipherment and the extended ones of client and server; an authority's signs certificates and revocation lists. The
 * subjectAltName is critical when the subject is empty (RFC 5280, section 4.2.1.6).
 */
export function createCertificate(fields: CertificateFields, issuer: Issuer): Buffer {
  const algorithm = signatureAlgorithmOf(issuer.key)
  const body = sequence(
    contextConstructed(0, integer(Buffer.of(2))),
    integer(fields.serial ?? randomSerial()),
    algorithmIdentifier(algorithm),
    readDer(issuer.name, 'issuer name'),
    sequence(time(fields.notBefore), time(fields.notAfter)),
    nameOf(fields.subject),
    readDer(fields.spki, 'public key'),
    contextConstructed(3, sequence(...extensionsOf(fields, issuer))),
  )
  return writeDer(sequence(body, algorithmIdentifier(algorithm), bitString(createSignature(writeDer(body), issuer.key))))
}

/** The DER of a distinguished name; an empty subject is the empty sequence. */
export function writeName(subject: Subject): Buffer {
  return writeDer(nameOf(subject))
}

/** A key's identifier: the first 160 bits of SHA-256 over its bits (RFC 7093, section 2, method 1). */
export function keyIdentifier(spki: Buffer): Buffer {
  const bits = bitStringOf(membersOf(readDer(spki, 'public key'), tag.sequence, 'public key')[1], 'public key')
  return createHash('sha256').update(bits).digest().subarray(0, 20)
}

/** What the certificates that an authority issues have to repeat of its own: its name and its key's identifier. */
export function readIssuer(certificate: Buffer): { name: Buffer; keyIdentifier: Buffer } {
  const [body] = membersOf(readDer(certificate, 'certificate'), tag.sequence, 'certificate')
  const fields = membersOf(body, tag.sequence, 'tbsCertificate')
  const [, , , , , subject, spki, ...optional] = fields
  if (subject === undefined || spki === undefined) throw new WeftError('invalid_argument', 'the certificate has too few fields')
  return { name: writeDer(subject), keyIdentifier: writtenKeyIdentifier(optional) ?? keyIdentifier(writeDer(spki)) }
}

function writtenKeyIdentifier(optional: Asn1[]): Buffer | undefined {
  for (const field of optional) {
    if (field.type !== 3 || typeof field.value === 'string') continue
    for (const extension of membersOf(field.value[0], tag.sequence, 'extensions')) {
      const parts = membersOf(extension, tag.sequence, 'extension')
      if (oidOf(parts[0], 'extension id') === oids.subjectKeyIdentifier) {
        const value = bytesOf(parts.at(-1), tag.octetString, 'subjectKeyIdentifier')
        return bytesOf(readDer(value, 'subjectKeyIdentifier'), tag.octetString, 'subjectKeyIdentifier')
      }
    }
  }
  return undefined
}

/** 128 random bits with the highest clear, so that the number is positive as it stands. */
function randomSerial(): Buffer {
  const serial = randomBytes(16)
  serial.writeUInt8((serial.readUInt8(0) & 0x7f) | 0x40, 0)
  return serial
}

function nameOf({ organization, commonName }: Subject): Asn1 {
  const attributes: Asn1[] = []
  if (organization !== undefined) attributes.push(set(sequence(oid(oids.organization), utf8String(organization))))
  if (commonName !== undefined) attributes.push(set(sequence(oid(oids.commonName), utf8String(commonName))))
  return sequence(...attributes)
}

function extensionsOf({ subject, spki, names, use }: CertificateFields, issuer: Issuer): Asn1[] {
  const usage = keyUsage[use]
  const extensions = [
    extension(oids.keyUsage, true, bitString(usage.bits, usage.unusedBits)),
    extension(oids.basicConstraints, true, use === 'authority' ? sequence(boolean(true)) : sequence()),
    extension(oids.subjectKeyIdentifier, false, octetString(keyIdentifier(spki))),
    extension(oids.authorityKeyIdentifier, false, sequence(contextPrimitive(0, issuer.keyIdentifier))),
  ]
  if (use === 'workload') {
    extensions.push(extension(oids.extendedKeyUsage, false, sequence(oid(oids.serverAuth), oid(oids.clientAuth))))
  }
  if ((names.uris?.length ?? 0) + (names.dns?.length ?? 0) + (names.ips?.length ?? 0) > 0) {
    const emptySubject = subject.organization === undefined && subject.commonName === undefined
    extensions.push(rawExtension(oids.subjectAltName, emptySubject, writeSubjectNames(names)))
  }
  return extensions
}

function extension(id: string, critical: boolean, value: Asn1): Asn1 {
  return rawExtension(id, critical, writeDer(value))
}

function rawExtension(id: string, critical: boolean, value: Buffer): Asn1 {
  return critical ? sequence(oid(id), boolean(true), octetString(value)) : sequence(oid(id), octetString(value))
}
