import { WeftError } from '@weft/service/errors'
import {
  type Asn1,
  bitString,
  bitStringOf,
  boolean,
  bytesOf,
  contextConstructed,
  hasContextTag,
  integer,
  membersOf,
  octetString,
  oid,
  oidOf,
  readDer,
  sequence,
  set,
  tag,
  writeDer,
} from './der.ts'
import {
  createSignature,
  createSigner,
  type KeyPair,
  type PublicKey,
  publicKeyDer,
  readPublicKey,
  verifySignature,
} from './keys.ts'
import { algorithmIdentifier, oids } from './oids.ts'
import { formatPem, parsePem } from './pem.ts'
import { readSubjectNames, type SubjectNames, writeSubjectNames } from './subject-names.ts'

/** A certificate signing request whose signature was found to be its key's. */
export interface CertificateRequest {
  publicKey: PublicKey
  /** The requested subjectAltName; all empty when none was asked for. */
  names: SubjectNames
}

/** A request carries one key and a few names; anything near this is an attack. */
const maxRequestBytes = 16 << 10

/** Makes a PKCS #10 request (PEM) with an empty subject, signed by the key; `uri` is asked for as its only name. */
export function createCertificateRequest(keys: KeyPair, names: { uris?: string[]; dns?: string[]; ips?: string[] } = {}): string {
  const asked = (names.uris?.length ?? 0) + (names.dns?.length ?? 0) + (names.ips?.length ?? 0) > 0
  const extensions = sequence(sequence(oid(oids.subjectAltName), boolean(true), octetString(writeSubjectNames(names))))
  const attributes = asked ? [sequence(oid(oids.extensionRequest), set(extensions))] : []
  const info = sequence(
    integer(Buffer.of(0)),
    sequence(),
    readDer(publicKeyDer(keys.publicKey), 'public key'),
    contextConstructed(0, ...attributes),
  )
  const signer = createSigner(keys.privateKey)
  const signature = createSignature(writeDer(info), signer)
  const algorithm = algorithmIdentifier(signer.algorithm)
  return formatPem('CERTIFICATE REQUEST', writeDer(sequence(info, algorithm, bitString(signature))))
}

/**
 * Reads a PEM PKCS #10 request (RFC 2986) and verifies its proof of possession: the signature by the key it carries.
 * Throws `invalid_argument` when it is broken, its key or algorithm is not accepted, or the signature is not the key's.
 */
export function parseCertificateRequest(pem: string): CertificateRequest {
  if (pem.length > maxRequestBytes) {
    throw new WeftError('invalid_argument', `the certificate request is larger than ${maxRequestBytes} bytes`)
  }
  const [block, ...others] = parsePem(pem, 'certificate request')
  if (block === undefined || others.length > 0 || !/^(NEW )?CERTIFICATE REQUEST$/.test(block.label)) {
    throw new WeftError('invalid_argument', 'the request must be exactly one PEM block CERTIFICATE REQUEST')
  }
  const [info, algorithm, signature, ...rest] = membersOf(readDer(block.der, 'certificate request'), tag.sequence, 'request')
  const [version, subject, spkiNode, attributes, ...more] = membersOf(info, tag.sequence, 'certificationRequestInfo')
  if (rest.length > 0 || more.length > 0 || info === undefined || spkiNode === undefined) {
    throw new WeftError('invalid_argument', 'the certificate request has the wrong number of parts')
  }
  if (!bytesOf(version, tag.integer, 'version').equals(Buffer.of(0))) {
    throw new WeftError('invalid_argument', 'the certificate request is not of version 1')
  }
  membersOf(subject, tag.sequence, 'subject')
  const publicKey = readPublicKey(writeDer(spkiNode))
  const [algorithmOid] = membersOf(algorithm, tag.sequence, 'signatureAlgorithm')
  const proven = verifySignature(
    oidOf(algorithmOid, 'signatureAlgorithm'),
    writeDer(info),
    publicKey,
    bitStringOf(signature, 'signature'),
  )
  if (!proven) {
    throw new WeftError('invalid_argument', 'the signature of the certificate request is not by the key it carries', {
      hint: 'sign the request with the private key of its public key',
    })
  }
  return { publicKey, names: requestedNames(attributes) }
}

function requestedNames(attributes: Asn1 | undefined): SubjectNames {
  const none: SubjectNames = { uris: [], dns: [], ips: [], others: 0 }
  if (attributes === undefined) return none
  if (!hasContextTag(attributes, 0) || typeof attributes.value === 'string') {
    throw new WeftError('invalid_argument', 'the attributes of the certificate request have the wrong ASN.1 type')
  }
  let names: SubjectNames | undefined
  for (const attribute of attributes.value) {
    const [type, values] = membersOf(attribute, tag.sequence, 'attribute')
    if (oidOf(type, 'attribute type') !== oids.extensionRequest) continue
    for (const extensions of membersOf(values, tag.set, 'extensionRequest')) {
      for (const extension of membersOf(extensions, tag.sequence, 'extensions')) {
        const parts = membersOf(extension, tag.sequence, 'extension')
        if (oidOf(parts[0], 'extension id') !== oids.subjectAltName) continue
        if (names !== undefined) throw new WeftError('invalid_argument', 'the request has more than one subjectAltName')
        names = readSubjectNames(bytesOf(parts.at(-1), tag.octetString, 'subjectAltName'))
      }
    }
  }
  return names ?? none
}
