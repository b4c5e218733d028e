import { expect, test } from 'vitest'
import { readJoinToken } from './join-token.ts'

const token = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`

test.each([
  ['spiffe://mesh/ns/bookinfo/sa/reviews', 'spiffe://mesh/ns/bookinfo/sa/reviews'],
  ['system:serviceaccount:bookinfo:reviews', 'spiffe://cluster.local/ns/bookinfo/sa/reviews'],
])('a token of %s is for %s', (sub, uri) => {
  const { identity, expiresAt } = readJoinToken(token({ sub, exp: 60 }), 'f', 'cluster.local')
  expect([identity.uri, expiresAt.getTime()]).toEqual([uri, 60_000])
})

test.each([[''], ['a.b'], ['x.eyJ9.y'], [token({ sub: 5, exp: 1 })], [token({ sub: 'user', exp: 1 })], [token({})]])(
  'what is no token is told with its file: %j',
  (text) => {
    expect(() => readJoinToken(text, '/run/token', 'cluster.local')).toThrow(/join token/)
  },
)
