import { generateKeyPairSync, sign } from 'node:crypto'
import { JwtAuthentication } from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { expect, it } from 'vitest'
import { cluster, connectionManager, listener, routerFilter, routeTo, typed } from '../../../testing/resources.ts'
import { upstream, worker } from '../../../testing/test-proxy.ts'
import { ask } from '../../../testing/worker-harness.ts'

const name = 'envoy.filters.http.jwt_authn'
const type = 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication'

it('routes by the claims of a token, whose keys were fetched at the second try', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256' }] })
  const token = (claims: object) => {
    const [head, body] = [{ alg: 'ES256', kid: 'k' }, claims].map((one) => Buffer.from(JSON.stringify(one)).toString('base64url'))
    const signature = sign('sha256', Buffer.from(`${head}.${body}`), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    return `${head}.${body}.${signature.toString('base64url')}`
  }
  let fetched = 0
  const keyServer = await upstream((_request, response) => {
    response.statusCode = ++fetched === 1 ? 503 : 200
    response.end(jwks)
  })
  const [admins, others] = [
    await upstream((_request, response) => response.end('admin')),
    await upstream((_request, response) => response.end('other')),
  ]
  const provider = {
    issuer: 'me',
    payloadInMetadata: 'payload',
    clearRouteCache: true,
    jwksSourceSpecifier: {
      $case: 'remoteJwks' as const,
      value: {
        httpUri: {
          uri: 'http://keys/jwks',
          httpUpstreamType: { $case: 'cluster' as const, value: 'keys' },
          timeout: { seconds: 5, nanos: 0 },
        },
        retryPolicy: { numRetries: 1, retryBackOff: { baseInterval: { seconds: 0, nanos: 1_000_000 } } },
      },
    },
  }
  const authentication = JwtAuthentication.fromPartial({
    providers: { me: provider },
    rules: [
      {
        match: { pathSpecifier: { $case: 'prefix', value: '/' } },
        requirementType: { $case: 'requires', value: { requiresType: { $case: 'providerName', value: 'me' } } },
      },
    ],
  })
  const byClaim = routeTo('admins')
  byClaim.match!.dynamicMetadata = [
    {
      filter: name,
      path: ['payload', 'group'].map((key) => ({ segment: { $case: 'key' as const, value: key } })),
      value: { matchPattern: { $case: 'stringMatch', value: { matchPattern: { $case: 'exact', value: 'admins' } } } },
    },
  ]
  const filters = [typed(name, type, JwtAuthentication.encode(authentication).finish()), routerFilter]
  const proxy = worker()
  const applied = await proxy.apply(
    cluster('keys', [keyServer.port]),
    cluster('admins', [admins.port]),
    cluster('others', [others.port]),
    listener('in', [{ filters: [connectionManager([byClaim, routeTo('others')], { httpFilters: filters })] }]),
  )
  expect(applied).toEqual([])
  const answer = async (group: string) => {
    const headers = { authorization: `Bearer ${token({ iss: 'me', group, exp: 4_102_444_800 })}` }
    const { status, body } = await ask(proxy.port('in'), '/', { headers })
    return [status, body]
  }
  expect(await answer('admins')).toEqual([200, 'admin'])
  expect(await answer('guests')).toEqual([200, 'other'])
  expect(fetched).toBe(2)
})
