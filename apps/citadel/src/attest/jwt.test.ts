import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect, it, onTestFinished } from 'vitest'
import { identityOf } from './identities.ts'
import { createJwtAttestor } from './jwt.ts'

const issuer = 'https://kubernetes.default.svc'
function newKey(kid: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return {
    jwk: { ...publicKey.export({ format: 'jwk' }), kid },
    token(claims: object = {}) {
      const body = {
        iss: issuer,
        sub: 'system:serviceaccount:default:reviews',
        aud: 'weft',
        exp: Date.now() / 1000 + 60,
        ...claims,
      }
      const signed = `${part({ alg: 'ES256', kid })}.${part(body)}`
      return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
  }
}

/** An issuer's key server whose answer can be changed. */
async function keyServer(body: () => string | undefined): Promise<{ url: string; requests: () => number }> {
  let requests = 0
  const server = createServer((_request, response) => {
    requests += 1
    const text = body()
    response.writeHead(text === undefined ? 503 : 200).end(text)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { url: `http://127.0.0.1:${address.port}/jwks`, requests: () => requests }
}

const attestorFor = (jwks: string) => createJwtAttestor({ issuer, audiences: ['weft'], jwks, trustDomain: 'cluster.local' })

it('a service account token becomes the identity of its account', async () => {
  const key = newKey('a')
  const { url, requests } = await keyServer(() => JSON.stringify({ keys: [key.jwk] }))
  const attestor = attestorFor(url)
  const identities = await Promise.all([attestor.attest(key.token()), attestor.attest(key.token())])
  expect(identities.map((identity) => identity?.uri)).toEqual(Array(2).fill('spiffe://cluster.local/ns/default/sa/reviews'))
  expect(requests()).toBe(1)
})

it('tokens of other issuers are left to others; of this issuer they have to hold', async () => {
  const key = newKey('a')
  const { url } = await keyServer(() => JSON.stringify({ keys: [key.jwk] }))
  const attestor = attestorFor(url)
  expect(await attestor.attest(key.token({ iss: 'https://else.example' }))).toBeUndefined()
  await expect(attestor.attest(key.token({ aud: 'else' }))).rejects.toThrow('none of its audiences')
  await expect(attestor.attest(key.token({ exp: 1 }))).rejects.toThrow('has expired')
  await expect(attestor.attest(newKey('a').token())).rejects.toThrow('not signed by a key')
  await expect(attestor.attest(key.token({ sub: 'someone' }))).rejects.toThrow('names no workload')
})

it('an issuer that cannot be reached is told as such, and not asked by every caller', async () => {
  const key = newKey('a')
  const { url, requests } = await keyServer(() => undefined)
  const attestor = attestorFor(url)
  await expect(attestor.attest(key.token())).rejects.toThrow('status 503')
  await expect(attestor.attest(key.token())).rejects.toThrow('not signed by a key')
  expect(requests()).toBe(1)
})

it('an answer that does not end is cut', async () => {
  const { url } = await keyServer(() => 'x'.repeat(2 << 20))
  await expect(attestorFor(url).attest(newKey('a').token())).rejects.toThrow('more than 1048576 bytes')
})

it('a subject names a workload by account or by SPIFFE id', () => {
  expect(identityOf('jwt', 'system:serviceaccount:a:b', 'td').uri).toBe('spiffe://td/ns/a/sa/b')
  expect(identityOf('jwt', 'spiffe://td/ns/a/sa/b', 'td').uri).toBe('spiffe://td/ns/a/sa/b')
  for (const bad of ['', 'system:serviceaccount:a', 'system:serviceaccount:a:b:c', 'system:serviceaccount:a/b:c']) {
    expect(() => identityOf('jwt', bad, 'td')).toThrow('names no workload')
  }
})
