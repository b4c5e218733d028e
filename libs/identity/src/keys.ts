import { createPublicKey, generateKeyPair, type KeyObject, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { WeftError } from '@weft/service/errors'
import { membersOf, readDer, tag } from './der.ts'
import { formatPem } from './pem.ts'

/** Kinds of keys that are made here. */
export type KeyKind = 'ec-p256' | 'rsa-2048'

export interface KeyPair {
  privateKey: KeyObject
  publicKey: KeyObject
}

const generate = promisify(generateKeyPair)

/** Makes a key pair in a worker thread of Node: P-256 by default. */
export function createKeyPair(kind: KeyKind = 'ec-p256'): Promise<KeyPair> {
  return kind === 'ec-p256' ? generate('ec', { namedCurve: 'P-256' }) : generate('rsa', { modulusLength: 2048 })
}

/** A private key as PKCS #8 PEM. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** A public key as SubjectPublicKeyInfo DER. */
export function publicKeyDer(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' })
}

/** A public key as it came in, known to be of an accepted kind. */
export interface PublicKey {
  spki: Buffer
  type: 'ec' | 'rsa'
}

/** What SubjectPublicKeyInfo of an uncompressed P-256 point begins with; 64 bytes follow. */
const p256Prefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex')

/**
 * Checks that SubjectPublicKeyInfo holds a key that the mesh accepts; else throws `invalid_argument`. The P-256 key that nearly
 * all bring is known by its first bytes: decoding it twice costs more than checking its signature (OpenSSL decodes it again,
 * and finds out whether the point is on the curve, when it verifies).
 */
export function readPublicKey(spki: Buffer): PublicKey {
  if (spki.length === p256Prefix.length + 64 && spki.subarray(0, p256Prefix.length).equals(p256Prefix))
    return { spki, type: 'ec' }
  let key: KeyObject
  try {
    key = createPublicKey(formatPem('PUBLIC KEY', spki))
  } catch (cause) {
    throw new WeftError('invalid_argument', 'the public key cannot be read', { hint: acceptedKeys, cause })
  }
  const problem = publicKeyProblem(key) ?? curveProblem(key, spki)
  if (problem !== undefined) throw new WeftError('invalid_argument', problem, { hint: acceptedKeys })
  return { spki, type: key.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec' }
}

const acceptedKeys = 'use EC P-256 or P-384, or RSA of 2048 to 4096 bits'

/** Why a public key is refused; undefined when it is accepted. A very large RSA key costs more to check than it proves. */
function publicKeyProblem(key: KeyObject): string | undefined {
  const details = key.asymmetricKeyDetails
  if (key.asymmetricKeyType === 'ec') {
    const curve = details?.namedCurve
    return curve === 'prime256v1' || curve === 'secp384r1' ? undefined : `the curve ${curve ?? 'of the key'} is not accepted`
  }
  if (key.asymmetricKeyType === 'rsa') {
    const bits = details?.modulusLength ?? 0
    if (bits < 2048 || bits > 4096) return `an RSA key of ${bits} bits is not accepted`
    const exponent = details?.publicExponent ?? 0n
    return exponent >= 3n && exponent % 2n === 1n && exponent < 1n << 64n ? undefined : 'the RSA exponent is not accepted'
  }
  return `a key of type ${key.asymmetricKeyType ?? 'unknown'} is not accepted`
}

/** RFC 5480, section 2.1.1: a curve is named. OpenSSL also takes its parameters written out, which others then refuse. */
function curveProblem(key: KeyObject, spki: Buffer): string | undefined {
  if (key.asymmetricKeyType !== 'ec') return undefined
  const [algorithm] = membersOf(readDer(spki, 'public key'), tag.sequence, 'public key')
  const [, parameters] = membersOf(algorithm, tag.sequence, 'algorithm of the public key')
  return parameters?.type === tag.oid ? undefined : 'a curve that is not named but described is not accepted'
}

/** The signature algorithms of X.509 that are accepted, by object identifier. SHA-1 is not among them. */
const signatureAlgorithms: Record<string, { hash: string; keyType: 'ec' | 'rsa' }> = {
  '1.2.840.10045.4.3.2': { hash: 'sha256', keyType: 'ec' },
  '1.2.840.10045.4.3.3': { hash: 'sha384', keyType: 'ec' },
  '1.2.840.10045.4.3.4': { hash: 'sha512', keyType: 'ec' },
  '1.2.840.113549.1.1.11': { hash: 'sha256', keyType: 'rsa' },
  '1.2.840.113549.1.1.12': { hash: 'sha384', keyType: 'rsa' },
  '1.2.840.113549.1.1.13': { hash: 'sha512', keyType: 'rsa' },
}

/**
 * Whether `signature` over `data` by this algorithm is the key's. Throws `invalid_argument` for an algorithm that is not accepted
 * or a key that OpenSSL does not take (a point off the curve).
 */
export function verifySignature(algorithm: string, data: Buffer, key: PublicKey, signature: Buffer): boolean {
  const known = signatureAlgorithms[algorithm]
  if (known === undefined) {
    throw new WeftError('invalid_argument', `the signature algorithm ${algorithm} is not accepted`, {
      hint: 'sign with ECDSA or RSA (PKCS #1) and SHA-256, SHA-384 or SHA-512',
    })
  }
  if (known.keyType !== key.type) return false
  try {
    // As PEM text, which Node hands to OpenSSL as it is: an object around DER costs 50 µs of a verification's 150.
    return verify(known.hash, data, formatPem('PUBLIC KEY', key.spki), signature)
  } catch (cause) {
    throw new WeftError('invalid_argument', 'the public key cannot be used', { hint: acceptedKeys, cause })
  }
}

/** A private key that signs, with the algorithm it signs by (always over SHA-256), found once. */
export interface Signer {
  key: KeyObject
  algorithm: string
}

export function createSigner(key: KeyObject): Signer {
  return { key, algorithm: key.asymmetricKeyType === 'rsa' ? '1.2.840.113549.1.1.11' : '1.2.840.10045.4.3.2' }
}

export function createSignature(data: Buffer, { key }: Signer): Buffer {
  return sign('sha256', data, key)
}
