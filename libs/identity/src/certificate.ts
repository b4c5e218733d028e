import { hash, type KeyObject, randomFillSync } from 'node:crypto'
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
import { createSignature, createSigner, type Signer } from './keys.ts'
import { algorithmIdentifier, oids } from './oids.ts'
import { writeSubjectNames } from './subject-names.ts'

/** A distinguished name as far as certificates here use one. */
export interface Subject {
  organization?: string
  commonName?: string
}

/** Who signs: a key, its name as it stands in its own certificate, and its key identifier. */
export interface Issuer {
  signer: Signer
  name: Asn1
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

/** The extensions that are the same in all certificates of a kind. Bits of KeyUsage: RFC 5280, section 4.2.1.3. */
const fixedExtensions = {
  workload: [
    extension(oids.keyUsage, true, bitString(Buffer.of(0b1010_0000), 5)),
    extension(oids.basicConstraints, true, sequence()),
    extension(oids.extendedKeyUsage, false, sequence(oid(oids.serverAuth), oid(oids.clientAuth))),
  ],
  authority: [
    extension(oids.keyUsage, true, bitString(Buffer.of(0b0000_0110), 1)),
    extension(oids.basicConstraints, true, sequence(boolean(true))),
  ],
} as const

/**
 * Assembles and signs an X.509 v3 certificate; gives its DER. A workload's has the key usages digitalSignature and
 * keyEncipherment and the extended ones of client and server; an authority's signs certificates and revocation lists. The
 * subjectAltName is critical when the subject is empty (RFC 5280, section 4.2.1.6).
 */
export function createCertificate(fields: CertificateFields, issuer: Issuer): Buffer {
  const algorithm = algorithmIdentifier(issuer.signer.algorithm)
  const body = sequence(
    contextConstructed(0, integer(Buffer.of(2))),
    integer(fields.serial ?? randomSerial()),
    algorithm,
    issuer.name,
    sequence(time(fields.notBefore), time(fields.notAfter)),
    nameOf(fields.subject),
    readDer(fields.spki, 'public key'),
    contextConstructed(3, sequence(...extensionsOf(fields, issuer))),
  )
  return writeDer(sequence(body, algorithm, bitString(createSignature(writeDer(body), issuer.signer))))
}

/** The issuer that signs its own certificate: a root. */
export function selfIssuer(key: KeyObject, spki: Buffer, subject: Subject): Issuer {
  return { signer: createSigner(key), name: nameOf(subject), keyIdentifier: keyIdentifier(spki) }
}

/** A key's identifier: the first 160 bits of SHA-256 over its bits (RFC 7093, section 2, method 1). */
export function keyIdentifier(spki: Buffer): Buffer {
  const bits = bitStringOf(membersOf(readDer(spki, 'public key'), tag.sequence, 'public key')[1], 'public key')
  return hash('sha256', bits, 'buffer').subarray(0, 20)
}

/** The issuer that signs with the key of this certificate: what it issues repeats its name and its key's identifier. */
export function readIssuer(certificate: Buffer, key: KeyObject): Issuer {
  const [body] = membersOf(readDer(certificate, 'certificate'), tag.sequence, 'certificate')
  const fields = membersOf(body, tag.sequence, 'tbsCertificate')
  const [, , , , , subject, spki, ...optional] = fields
  if (subject === undefined || spki === undefined) throw new WeftError('invalid_argument', 'the certificate has too few fields')
  return {
    signer: createSigner(key),
    name: subject,
    keyIdentifier: writtenKeyIdentifier(optional) ?? keyIdentifier(writeDer(spki)),
  }
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

/** Random bytes are fetched for many serial numbers at once: a fetch costs more than the bytes. */
const randomPool = Buffer.alloc(16 * 256)
let randomUsed = randomPool.length

/** 128 bits of which 126 are random; the highest is clear and the next is set, so that the number is positive and of full length. */
function randomSerial(): Buffer {
  if (randomUsed === randomPool.length) {
    randomFillSync(randomPool)
    randomUsed = 0
  }
  const serial = Buffer.from(randomPool.subarray(randomUsed, randomUsed + 16))
  randomUsed += 16
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
  const extensions = [
    ...fixedExtensions[use],
    extension(oids.subjectKeyIdentifier, false, octetString(keyIdentifier(spki))),
    extension(oids.authorityKeyIdentifier, false, sequence(contextPrimitive(0, issuer.keyIdentifier))),
  ]
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
