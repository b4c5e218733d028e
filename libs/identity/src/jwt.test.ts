import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type JwtKey, parseJwks, verifyJwt } from './jwt.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ec384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const rules = { issuer: 'https://issuer.example', audiences: ['weft'] }
const seconds = Math.floor(Date.now() / 1000)
const claims = { iss: rules.issuer, sub: 'system:serviceaccount:ns:sa', aud: ['weft', 'other'], exp: seconds + 600 }

function token(alg: string, key: KeyObject, body: object = claims, header: object = {}): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg, typ: 'JWT', ...header })}.${part(body)}`
  const hash = `sha${alg.slice(2)}`
  const signature = sign(hash, Buffer.from(signed), {
    key,
    dsaEncoding: 'ieee-p1363',
    ...(alg.startsWith('PS') ? { padding: 6, saltLength: -1 } : {}),
  })
  return `${signed}.${signature.toString('base64url')}`
}

const jwks = parseJwks(
  JSON.stringify({
    keys: [
      { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'rsa' },
      { ...ec.publicKey.export({ format: 'jwk' }), kid: 'ec', use: 'sig' },
      { ...ec384.publicKey.export({ format: 'jwk' }) },
      { ...ec.publicKey.export({ format: 'jwk' }), kid: 'for encryption', use: 'enc' },
      { kty: 'oct', k: 'AAAA' },
      { kty: 'new kind' },
      'nonsense',
    ],
  }),
)

describe('a JSON Web Token', () => {
  it.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'])('signed by %s is accepted', (alg) => {
    expect(verifyJwt(token(alg, rsa.privateKey), jwks, rules).sub).toBe(claims.sub)
  })

  it('signed by ES256 and ES384 is accepted', () => {
    expect(verifyJwt(token('ES256', ec.privateKey, claims, { kid: 'ec' }), jwks, rules).sub).toBe(claims.sub)
    expect(verifyJwt(token('ES384', ec384.privateKey), jwks, rules).sub).toBe(claims.sub)
  })

  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  it.each<[string, string, string]>([
    ['of a stranger', token('ES256', stranger.privateKey), 'not signed by a key'],
    ['with the id of another key', token('ES256', ec.privateKey, claims, { kid: 'rsa' }), 'not signed by a key'],
    [
      'of another issuer',
      token('ES256', ec.privateKey, { ...claims, iss: 'https://evil.example' }),
      'its issuer is https://evil.example',
    ],
    ['for another audience', token('ES256', ec.privateKey, { ...claims, aud: 'other' }), 'none of its audiences is weft'],
    ['for no audience', token('ES256', ec.privateKey, { ...claims, aud: undefined }), 'none of its audiences'],
    ['that has expired', token('ES256', ec.privateKey, { ...claims, exp: seconds - 60 }), 'has expired at'],
    ['that is not valid yet', token('ES256', ec.privateKey, { ...claims, nbf: seconds + 600 }), 'not valid yet'],
    ['with a time that is none', token('ES256', ec.privateKey, { ...claims, nbf: 'soon' }), 'not valid yet'],
    ['without expiry', token('ES256', ec.privateKey, { ...claims, exp: undefined }), 'lacks one of sub and exp'],
    ['that is none', 'a.b', 'no JSON Web Token'],
    ['of 17 kB', `${'a'.repeat(17_000)}.b.c`, 'no JSON Web Token'],
  ])('%s is refused', (_name, bad, reason) => {
    expect(() => verifyJwt(bad, jwks, rules)).toThrow(reason)
  })

  it('without a signature, or with a key misused as a secret, is refused', () => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    for (const alg of ['none', 'HS256', 'toString', '__proto__']) {
      expect(() => verifyJwt(`${part({ alg })}.${part(claims)}.AAAA`, jwks, rules)).toThrow('is not accepted')
    }
    const altered = token('ES256', ec.privateKey).replace(/\.[\w-]+\./, `.${part({ ...claims, sub: 'admin' })}.`)
    expect(() => verifyJwt(altered, jwks, rules)).toThrow('not signed by a key')
  })
})

it('a key set keeps the keys that verify signatures, never a private part', () => {
  expect(jwks.map(({ kid }) => kid)).toEqual(['rsa', 'ec', undefined])
  const [key]: JwtKey[] = parseJwks(JSON.stringify({ keys: [ec.privateKey.export({ format: 'jwk' })] }))
  expect(key?.key.type).toBe('public')
})
