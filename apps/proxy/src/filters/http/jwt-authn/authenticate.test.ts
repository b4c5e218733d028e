import { generateKeyPairSync, sign } from 'node:crypto'
import { JwtAuthentication, type JwtRequirement } from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { describe, expect, it } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { metadataNamespace } from './authenticate.ts'
import { jwtAuthn } from './index.ts'

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', use: 'enc' }] })

function token(claims: object, kid = 'k'): string {
  const [head, body] = [
    { alg: 'ES256', kid },
    { iss: 'one', sub: 'bob', aud: 'shop', ...claims },
  ].map((one) => Buffer.from(JSON.stringify(one)).toString('base64url'))
  const signature = sign('sha256', Buffer.from(`${head}.${body}`), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${head}.${body}.${signature.toString('base64url')}`
}

const one: JwtRequirement['requiresType'] = { $case: 'providerName', value: 'one' }

/** What a request is answered, what filters behind are told, and the realm that a client is. */
function judged(headers: Record<string, string>, path = '/', requires = one) {
  const config = JwtAuthentication.fromPartial({
    providers: {
      one: {
        issuer: 'one',
        jwksSourceSpecifier: { $case: 'localJwks', value: { specifier: { $case: 'inlineString', value: jwks } } },
        fromHeaders: ['x-z', 'x-a'].map((name) => ({ name })),
        fromParams: ['t'],
        audiences: ['shop'],
        subjects: { matchPattern: { $case: 'exact', value: 'bob' } },
        failedStatusInMetadata: 'failed',
      },
    },
    rules: [
      {
        match: { pathSpecifier: { $case: 'prefix', value: '/' } },
        requirementType: { $case: 'requires', value: { requiresType: requires } },
      },
    ],
  })
  const filter = jwtAuthn.compile(JwtAuthentication.encode(config).finish(), new FakeContext())
  const stream = new FakeStream({ path, headers })
  filter.start(stream, undefined)?.onRequestHeaders?.(stream, true)
  return {
    status: stream.replied?.body ?? 'let pass',
    told: stream.metadataOrNull?.[metadataNamespace]?.['failed'],
    challenge: String(stream.replied?.options.headers),
  }
}

// As Envoy 1.40 does.
describe('a token is judged', () => {
  it.each([
    ['holds, whatever its key is said to be for', {}, 'k', 'let pass'],
    ['is expired, before all else', { exp: 1, aud: 'other', sub: 'eve' }, 'k', 'Jwt is expired'],
    ['is for another audience, before another subject', { aud: 'other', sub: 'eve' }, 'k', 'Audiences in Jwt are not allowed'],
    ['has another subject, before another key', { sub: 'eve' }, 'other', 'Jwt verification fails'],
    ['has another key', {}, 'other', "Jwks doesn't have key to match kid or alg from Jwt"],
  ])('that %s', (_label, claims, kid, status) => {
    expect(judged({ 'x-a': token(claims, kid) }).status).toBe(status)
  })

  it('from the last place to the first, in the order of their names, headers before parameters', () => {
    const [expired, foreign] = [token({ exp: 1 }), token({ aud: 'other' })]
    expect(judged({ 'x-z': expired, 'x-a': foreign }).status).toBe('Jwt is expired')
    expect(judged({ 'x-z': expired }, `/?t=${foreign}`).status).toBe('Audiences in Jwt are not allowed')
  })

  it('and why it was not taken is told, also where the request may pass; not that there is none', () => {
    const any: JwtRequirement['requiresType'] = {
      $case: 'requiresAny',
      value: { requirements: [{ requiresType: one }, { requiresType: { $case: 'allowMissingOrFailed', value: {} } }] },
    }
    const told = { code: 3, message: 'Jwt is expired' }
    expect(judged({ 'x-a': token({ exp: 1 }) }, '/', any)).toMatchObject({ status: 'let pass', told })
    expect(judged({})).toMatchObject({ status: 'Jwt is missing', told: undefined })
  })

  it('and the client is told of the path that it asked for, though a token was taken out of it', () => {
    const all: JwtRequirement['requiresType'] = {
      $case: 'requiresAll',
      value: { requirements: [{ requiresType: one }, { requiresType: one }] },
    }
    const path = `/?t=${token({})}`
    expect(judged({}, path, all)).toMatchObject({ status: 'Jwt is missing', challenge: expect.stringContaining('/?t=ey') })
  })
})
