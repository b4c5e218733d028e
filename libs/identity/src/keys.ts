import { createPublicKey, generateKeyPair, type KeyObject, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { WeftError } from '@weft/service/errors'

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

/** Reads SubjectPublicKeyInfo and checks that the key is one that the mesh accepts. */
export function readPublicKey(spki: Buffer): KeyObject {
  let key: KeyObject
  try {
    key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch (cause) {
    throw new WeftError('invalid_argument', 'the public key cannot be read', { hint: acceptedKeys, cause })
  }
  const problem = publicKeyProblem(key)
  if (problem !== undefined) throw new WeftError('invalid_argument', problem, { hint: acceptedKeys })
  return key
}

const acceptedKeys = 'use EC P-256 or P-384, or RSA of 2048 to 4096 bits'

/** Why a public key is refused; undefined when it is accepted. A very large RSA key costs more to check than it proves. */
export function publicKeyProblem(key: KeyObject): string | undefined {
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

/** The signature algorithms of X.509 that are accepted, by object identifier. SHA-1 is not among them. */
const signatureAlgorithms: Record<string, { hash: string; keyType: 'ec' | 'rsa' }> = {
  '1.2.840.10045.4.3.2': { hash: 'sha256', keyType: 'ec' },
  '1.2.840.10045.4.3.3': { hash: 'sha384', keyType: 'ec' },
  '1.2.840.10045.4.3.4': { hash: 'sha512', keyType: 'ec' },
  '1.2.840.113549.1.1.11': { hash: 'sha256', keyType: 'rsa' },
  '1.2.840.113549.1.1.12': { hash: 'sha384', keyType: 'rsa' },
  '1.2.840.113549.1.1.13': { hash: 'sha512', keyType: 'rsa' },
}

/** Whether `signature` over `data` by this algorithm is the key's. Throws `invalid_argument` for an algorithm that is not accepted. */
export function verifySignature(algorithm: string, data: Buffer, key: KeyObject, signature: Buffer): boolean {
  const known = signatureAlgorithms[algorithm]
  if (known === undefined) {
    throw new WeftError('invalid_argument', `the signature algorithm ${algorithm} is not accepted`, {
      hint: 'sign with ECDSA or RSA (PKCS #1) and SHA-256, SHA-384 or SHA-512',
    })
  }
  return known.keyType === key.asymmetricKeyType && verify(known.hash, data, key, signature)
}

/** The algorithm that a key signs with here, always over SHA-256. */
export function signatureAlgorithmOf(key: KeyObject): string {
  return key.asymmetricKeyType === 'rsa' ? '1.2.840.113549.1.1.11' : '1.2.840.10045.4.3.2'
}

/** Signs with `signatureAlgorithmOf` the key. */
export function createSignature(data: Buffer, key: KeyObject): Buffer {
  return sign('sha256', data, key)
}
