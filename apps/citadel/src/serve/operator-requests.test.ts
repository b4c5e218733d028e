import { expect, it } from 'vitest'
import { readRotationRequest, readTokenRequest } from './operator-requests.ts'

const identity = 'spiffe://td/ns/a/sa/b'
const tokens = (...list: unknown[]): unknown => ({ tokens: list })

it('a token request is read', () => {
  expect(readTokenRequest(tokens({ identity, ttlSeconds: 60 }), 'td')).toMatchObject([
    { identity: { uri: identity }, ttlSeconds: 60 },
  ])
})

it.each<[unknown, string, RegExp]>([
  [undefined, 'body', /must be an object/],
  [[], 'body', /must be an object/],
  [{ tokens: [], extra: 1 }, 'body', /unknown field 'extra'/],
  [{}, 'tokens', /list of 1 to 1000/],
  [tokens(), 'tokens', /list of 1 to 1000/],
  [tokens(...Array(1_001).fill({ identity, ttlSeconds: 1 })), 'tokens', /list of 1 to 1000/],
  [tokens('x'), 'tokens.0', /must be an object/],
  [tokens({ identity, ttlSeconds: 60 }, { identity: 1, ttlSeconds: 60 }), 'tokens.1.identity', /SPIFFE id/],
  [tokens({ identity }), 'tokens.0.ttlSeconds', /whole number/],
  [tokens({ identity, ttlSeconds: '60' }), 'tokens.0.ttlSeconds', /whole number/],
  [tokens({ identity, ttlSeconds: 1e9 }), 'tokens.0.ttlSeconds', /whole number/],
  [tokens({ identity: 'spiffe://other/ns/a/sa/b', ttlSeconds: 60 }), 'tokens.0.identity', /no workload of the trust domain td/],
  [tokens({ identity: 'spiffe://td', ttlSeconds: 60 }), 'tokens.0.identity', /no workload of the trust domain td/],
])('a bad token request is told with its place: %j', (body, path, message) => {
  expect(() => readTokenRequest(body, 'td')).toThrow(
    expect.objectContaining({ message: expect.stringMatching(message), where: { path } }),
  )
})

it('a rotation request is read strictly', () => {
  expect(readRotationRequest({ step: 'begin' })).toEqual({ step: 'begin', force: false })
  expect(readRotationRequest({ step: 'finish', force: true })).toEqual({ step: 'finish', force: true })
  for (const body of [null, {}, { step: 'end' }, { step: 'begin', force: 'yes' }, { step: 'begin', now: true }]) {
    expect(() => readRotationRequest(body)).toThrow()
  }
})
