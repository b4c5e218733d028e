import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { KubernetesClient } from '@weft/kubernetes/client'
import { accessTo } from '@weft/kubernetes/testing/access-to'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { TokenAttestor } from './attestation.ts'
import { createKubernetesAttestor } from './kubernetes.ts'

const issuer = 'https://kubernetes.default.svc'
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token as the API server signs them. */
function token(claims: object = {}, bound: object = {}): string {
  const body = {
    iss: issuer,
    sub: 'system:serviceaccount:bookinfo:reviews',
    aud: ['istio-ca'],
    exp: Date.now() / 1000 + 60,
    'kubernetes.io': {
      namespace: 'bookinfo',
      serviceaccount: { name: 'reviews', uid: '1' },
      pod: { name: 'reviews-1', uid: '2' },
      ...bound,
    },
    ...claims,
  }
  const signed = `${part({ alg: 'RS256', kid: 'k' })}.${part(body)}`
  return `${signed}.${sign('sha256', Buffer.from(signed), keys.privateKey).toString('base64url')}`
}

/** As much of an API server as is asked; its reviews are what a test says. */
let review: (spec: { token: string; audiences: string[] }) => object
let reviews: number
let close: () => Promise<void>
let url: string

beforeEach(async () => {
  reviews = 0
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    if (request.url === '/.well-known/openid-configuration') return response.end(JSON.stringify({ issuer }))
    // As a real one: it has this in no other type.
    const takesKeySet = /application\/jwk-set\+json|\*\/\*/.test(request.headers.accept ?? '')
    if (request.url === '/openid/v1/jwks' && !takesKeySet) return response.writeHead(406).end('406: Not Acceptable')
    if (request.url === '/openid/v1/jwks')
      return response.end(JSON.stringify({ keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'k', use: 'sig' }] }))
    reviews += 1
    const { spec } = JSON.parse(Buffer.concat(chunks).toString()) as { spec: { token: string; audiences: string[] } }
    return response.writeHead(201).end(JSON.stringify({ status: review(spec) }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  close = async () => {
    server.closeAllConnections()
    server.close()
  }
})
afterEach(() => close())

function attestor(mode: 'review' | 'offline'): TokenAttestor {
  const client = new KubernetesClient(accessTo(url))
  return createKubernetesAttestor({ client, audiences: ['istio-ca'], trustDomain: 'cluster.local', mode })
}

const good = {
  authenticated: true,
  audiences: ['istio-ca'],
  user: {
    username: 'system:serviceaccount:bookinfo:reviews',
    extra: { 'authentication.kubernetes.io/pod-name': ['reviews-1'] },
  },
}

test.each(['review', 'offline'] as const)('the token of a pod stands for its service account (%s)', async (mode) => {
  review = () => good
  expect((await attestor(mode).attest(token()))?.uri).toBe('spiffe://cluster.local/ns/bookinfo/sa/reviews')
})

test.each(['review', 'offline'] as const)("tokens that are none of Kubernetes' are left to others (%s)", async (mode) => {
  const one = attestor(mode)
  expect(await one.attest(token({ sub: 'spiffe://cluster.local/ns/a/sa/b' }))).toBeUndefined()
  expect(await one.attest(token({ 'kubernetes.io': 5 }))).toBeUndefined()
  expect(reviews).toBe(0)
})

describe('by review', () => {
  test('the audiences asked about are ours', async () => {
    let asked: string[] = []
    review = ({ audiences }) => {
      asked = audiences
      return good
    }
    await attestor('review').attest(token())
    expect(asked).toEqual(['istio-ca'])
  })

  test.each([
    ['not authenticated', { error: 'token is expired' }, 'token is expired'],
    ['of a server that looked at no audience', { ...good, audiences: [] }, 'it was not made for istio-ca'],
    ['for another audience', { ...good, audiences: ['other'] }, 'it was not made for istio-ca'],
    ['of a user', { ...good, user: { ...good.user, username: 'admin' } }, 'admin is no service account'],
    ['bound to no pod', { ...good, user: { ...good.user, extra: {} } }, 'is bound to no pod'],
  ])('a token is refused that is %s', async (_, status, message) => {
    review = () => status
    await expect(attestor('review').attest(token())).rejects.toThrow(message)
  })

  test('the same token is asked about once at a time', async () => {
    review = () => good
    const one = attestor('review')
    const same = token()
    await Promise.all([one.attest(same), one.attest(same), one.attest(same)])
    expect(reviews).toBe(1)
  })

  test('while the API server is away it is told as unavailable', async () => {
    await close()
    await expect(attestor('review').attest(token())).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('offline', () => {
  test.each([
    ['expired', token({ exp: 5 }), 'it has expired'],
    ['for another audience', token({ aud: ['other'] }), 'none of its audiences'],
    ['of another issuer', token({ iss: 'https://other' }), 'its issuer is https://other'],
    ['bound to no pod', token({}, { pod: undefined }), 'is bound to no pod'],
    ['of one account in the name of another', token({ sub: 'system:serviceaccount:bookinfo:admin' }), 'it contradicts itself'],
    ['without its account', token({}, { serviceaccount: undefined }), 'it does not say whose it is'],
    ['changed', `${token().slice(0, -6)}AAAAAA`, 'not signed by a key of its issuer'],
  ])('a token is refused that is %s', async (_, text, message) => {
    await expect(attestor('offline').attest(text)).rejects.toThrow(message)
    expect(reviews).toBe(0)
  })

  test('it goes on while the API server is away', async () => {
    const one = attestor('offline')
    await one.attest(token())
    await close()
    expect((await one.attest(token()))?.uri).toBe('spiffe://cluster.local/ns/bookinfo/sa/reviews')
  })
})
