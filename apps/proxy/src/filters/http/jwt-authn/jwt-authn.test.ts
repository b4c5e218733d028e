import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parseJwks } from './jwks.ts'
import { type Jwt, parseJwt } from './jwt.ts'
import { jwtStatus } from './status.ts'
import { checkTimes, plainAudience, verifyJwt } from './verify.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed = generateKeyPairSync('ed25519')
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const secret = Buffer.from('a secret of some length that is shared')

const jwks = JSON.stringify({
  keys: [
    { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'r', alg: 'RS256', use: 'sig' },
    { ...ec.publicKey.export({ format: 'jwk' }), kid: 'e', alg: 'ES256' },
    { ...ed.publicKey.export({ format: 'jwk' }), kid: 'd' },
    { kty: 'oct', k: secret.toString('base64url'), kid: 'h', alg: 'HS256' },
    { kty: 'EC', crv: 'P-256', x: 'broken', y: 'broken', kid: 'broken' },
  ],
})

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function token(alg: string, kid: string, key: KeyObject | Buffer, claims: Record<string, unknown> = {}): string {
  const signed = `${encode({ alg, kid })}.${encode({ iss: 'issuer', sub: 'bob', aud: ['shop'], ...claims })}`
  const data = Buffer.from(signed)
  if (Buffer.isBuffer(key)) return `${signed}.${createHmac('sha256', key).update(data).digest('base64url')}`
  const options = { key, dsaEncoding: 'ieee-p1363' as const }
  return `${signed}.${sign(alg === 'EdDSA' ? null : 'sha256', data, options).toString('base64url')}`
}

function parsed(text: string): Jwt {
  const jwt = parseJwt(text)
  if (typeof jwt === 'string') throw new Error(jwt)
  return jwt
}

const keys = parseJwks(jwks)
if (typeof keys === 'string') throw new Error(keys)

describe('a token is taken apart', () => {
  const [header = '', , signature = ''] = token('HS256', 'h', secret).split('.')
  const withPayload = (json: string) => parseJwt(`${header}.${Buffer.from(json, 'latin1').toString('base64url')}.${signature}`)

  it.each([
    ['a name twice', '{"iss":"a","iss":"b"}'],
    ['a name twice, further in', '{"d":{"a":1,"\\u0061":2}}'],
    ['a number beyond all', '{"a":1e999}'],
    ['half a character', '{"a":"\\ud800"}'],
    ['bytes that are no UTF-8', '{"a":"\xff"}'],
    ['too many levels', `${'{"a":'.repeat(101)}1${'}'.repeat(101)}`],
  ])('but not with %s', (_, json) => {
    expect(withPayload(json)).toBe(jwtStatus.payloadBadJson)
  })

  it.each(['{"a\\":":":b","c":["a","a",{"a":1},{"a":1}]}', `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`])('%s is fine', (json) => {
    expect(typeof withPayload(json)).toBe('object')
  })

  it('with all its padding or none', () => {
    const text = token('ES256', 'e', ec.privateKey)
    expect(typeof parseJwt(`${text}==`)).toBe('object')
    expect(parseJwt(`${text}=`)).toBe(jwtStatus.signatureBadBase64)
  })
})

describe('a token is verified', () => {
  it.each([
    ['RS256', 'r', rsa.privateKey],
    ['ES256', 'e', ec.privateKey],
    ['EdDSA', 'd', ed.privateKey],
    ['HS256', 'h', secret],
  ] as const)('by %s', (alg, kid, key) => {
    expect(verifyJwt(parsed(token(alg, kid, key)), keys)).toBe(jwtStatus.ok)
  })

  it('not with the key of somebody else', () => {
    expect(verifyJwt(parsed(token('ES256', 'e', other.privateKey)), keys)).toBe(jwtStatus.verificationFails)
  })

  it('not with a public key taken for a shared secret', () => {
    const forged = token('HS256', 'r', Buffer.from(rsa.publicKey.export({ type: 'spki', format: 'pem' })))
    expect(verifyJwt(parsed(forged), keys)).toBe(jwtStatus.keyMismatch)
  })

  it('not when a byte of the payload was changed', () => {
    const [head, , signature] = token('ES256', 'e', ec.privateKey).split('.')
    expect(verifyJwt(parsed(`${head}.${encode({ iss: 'issuer', sub: 'eve' })}.${signature}`), keys)).toBe(
      jwtStatus.verificationFails,
    )
  })

  it('not when no key has its kid', () => {
    expect(verifyJwt(parsed(token('ES256', 'unknown', ec.privateKey)), keys.slice(0, 2))).toBe(jwtStatus.keyMismatch)
  })
})

describe('a token that is malformed is told apart', () => {
  it.each([
    ['', jwtStatus.badFormat],
    ['a.b', jwtStatus.badFormat],
    ['%.e30.x', jwtStatus.headerBadBase64],
    [`${Buffer.from('[1]').toString('base64url')}.e30.xxxx`, jwtStatus.headerBadJson],
    [`${encode({})}.e30.xxxx`, jwtStatus.headerBadAlg],
    [`${encode({ alg: 'none' })}.e30.`, jwtStatus.badFormat],
    [`${encode({ alg: 'none' })}.e30.xxxx`, jwtStatus.headerUnknownAlg],
    [`${encode({ alg: 'RS256', kid: 1 })}.e30.xxxx`, jwtStatus.headerBadKid],
    [`${encode({ alg: 'RS256' })}.${encode({ iss: 1 })}.xxxx`, jwtStatus.issNotString],
    [`${encode({ alg: 'RS256' })}.${encode({ exp: 'soon' })}.xxxx`, jwtStatus.expNotInteger],
    [`${encode({ alg: 'RS256' })}.${encode({ exp: -1 })}.xxxx`, jwtStatus.expOutOfRange],
    [`${encode({ alg: 'RS256' })}.${encode({ aud: [1] })}.xxxx`, jwtStatus.audNotString],
    [`${encode({ alg: 'RS256' })}.${encode({})}.%%`, jwtStatus.signatureBadBase64],
  ])('%s', (text, status) => {
    expect(parseJwt(text)).toBe(status)
  })
})

describe('times', () => {
  it('are compared with the skew that is allowed', () => {
    const jwt = parsed(token('ES256', 'e', ec.privateKey, { nbf: 1000, exp: 2000 }))
    expect(checkTimes(jwt, 900, 60)).toBe(jwtStatus.notYetValid)
    expect(checkTimes(jwt, 950, 60)).toBe(jwtStatus.ok)
    expect(checkTimes(jwt, 2060, 60)).toBe(jwtStatus.ok)
    expect(checkTimes(jwt, 2061, 60)).toBe(jwtStatus.expired)
  })
})

describe('audiences', () => {
  it('are compared without scheme and trailing slash', () => {
    expect(plainAudience('https://shop.example/')).toBe('shop.example')
    expect(plainAudience('shop')).toBe('shop')
  })
})

describe('a key set', () => {
  it('without a usable key is refused with the reason', () => {
    expect(parseJwks('{')).toBe(jwtStatus.jwksParseError)
    expect(parseJwks('{}')).toBe(jwtStatus.jwksNoKeys)
    expect(parseJwks('{"keys":{}}')).toBe(jwtStatus.jwksBadKeys)
    expect(parseJwks('{"keys":[{"kty":"RSA"}]}')).toBe(jwtStatus.jwksNoValidKeys)
  })
})
