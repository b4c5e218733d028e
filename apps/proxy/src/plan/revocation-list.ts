import { type KeyObject, verify } from 'node:crypto'
import { derTag, derTime, objectIdentifier, readElement, readElements } from './der.ts'

/** A certificate revocation list (RFC 5280 section 5), for what OpenSSL cannot be asked through Node. */
export interface RevocationList {
  /** The authority's name as it is written, in hexadecimal. */
  readonly issuer: string
  readonly thisUpdateMs: number
  /** Infinity: it does not say. */
  readonly nextUpdateMs: number
  /** Serial numbers as they are written, in hexadecimal. */
  readonly revoked: ReadonlySet<string>
  /** Whether it is signed by the holder of this key. */
  isSignedBy(key: KeyObject): boolean
}

/** Digests by the identifier of a signature algorithm; null: the key's own. */
const digests: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.5': 'sha1',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
}

/** Each list of a bundle in PEM. Throws what `refuse` gives for one that cannot be read. */
export function readRevocationLists(pem: Buffer, refuse: () => Error): RevocationList[] {
  return splitPem(pem, 'X509 CRL').map((one) => {
    const list = read(Buffer.from(one.replace(/-----[^-]+-----/g, ''), 'base64'))
    if (list === null) throw refuse()
    return list
  })
}

/** Each block of a bundle in PEM; `kind`: the word in its frame. */
export function splitPem(bundle: Buffer, kind: string): string[] {
  const block = new RegExp(`-----BEGIN (?:\\w+ )?${kind}-----[\\s\\S]+?-----END (?:\\w+ )?${kind}-----`, 'g')
  return bundle.toString('latin1').match(block) ?? []
}

function read(der: Buffer): RevocationList | null {
  const [body, algorithm, signature] = readElements(readElement(der)?.content ?? Buffer.alloc(0))
  if (body === undefined || algorithm === undefined || signature === undefined) return null
  const fields = readElements(body.content)
  if (fields[0]?.tag === derTag.integer) fields.shift()
  const [, issuer, thisUpdate, ...rest] = fields
  const [id] = readElements(algorithm.content)
  if (issuer === undefined || thisUpdate === undefined || id === undefined) return null
  const nextUpdate = rest[0]?.tag === derTag.utcTime || rest[0]?.tag === derTag.generalizedTime ? rest.shift() : undefined
  const entries = rest[0]?.tag === derTag.sequence ? readElements(rest[0].content) : []
  const digest = digests[objectIdentifier(id.content)]
  return {
    issuer: issuer.whole.toString('hex'),
    thisUpdateMs: derTime(thisUpdate),
    nextUpdateMs: nextUpdate === undefined ? Number.POSITIVE_INFINITY : derTime(nextUpdate),
    revoked: new Set(entries.flatMap(({ content }) => readElement(content)?.content.toString('hex') ?? [])),
    // A bit string begins with the number of bits that it leaves out.
    isSignedBy: (key) => digest !== undefined && verify(digest, body.whole, key, signature.content.subarray(1)),
  }
}
