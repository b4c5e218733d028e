import { generateKeyPairSync, sign } from 'node:crypto'
import net from 'node:net'
import { JwtAuthentication } from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { expect, it, onTestFinished } from 'vitest'
import { cluster, connectionManager, routerFilter, routeTo, typed } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { until, type WorkerHarness } from '../../../testing/worker-harness.ts'

/** A client whose connection stays. */
function connect(proxy: WorkerHarness) {
  const socket = net.connect(proxy.port('in'), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  let text = ''
  socket.setEncoding('latin1').on('data', (piece: string) => {
    text += piece
  })
  return {
    socket,
    send: (path: string, headers = '', body = '') => socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n${headers}\r\n${body}`),
    answer: async (body: string) => {
      await until(() => text.endsWith(body), body)
      const answer = text
      text = ''
      return answer
    },
  }
}

it('nothing of a request is left to the next of another connection', async () => {
  const origin = await upstream((request, response, body) => {
    if (request.url === '/first') response.setHeader('x-own', 'yes').statusCode = 201
    response.end(`${request.url}:${request.headers['x-team'] ?? ''}:${body};`)
  })
  const proxy = await proxyTo(origin.port)
  const [one, other] = [connect(proxy), connect(proxy)]
  for (let i = 0; i < 3; i++) {
    one.send('/first', 'x-team: blue\r\ncontent-length: 3\r\n', 'abc')
    expect(await one.answer('/first:blue:abc;')).toMatch(/^HTTP\/1\.1 201 [\s\S]*x-own: yes/)
    other.send('/second')
    const answer = await other.answer('/second::;')
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).not.toContain('x-own')
  }
})

it('what comes late for a client that has left is nobody else’s', async () => {
  const late: (() => void)[] = []
  const origin = await upstream((request, response) => {
    if (request.url !== '/left') {
      response.end(`${request.url};`)
      return
    }
    response.write('part;')
    late.push(() => response.end('secret;'))
  })
  const proxy = await proxyTo(origin.port)
  const other = connect(proxy)
  for (let i = 0; i < 3; i++) {
    const one = connect(proxy)
    one.send('/left')
    await until(() => late.length > 0, 'the request')
    one.socket.destroy()
    await until(() => proxy.stats.value('http.test.downstream_rq_active') === 0, 'its end')
    other.send(`/stays${i}`)
    late.pop()!()
    expect(await other.answer(`/stays${i};`)).not.toContain('secret')
  }
})

it('a good token that is waited for lets no other client in when its own has left', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256' }] })
  const askedFor = new Map<string, () => void>()
  const keys = await upstream((request, response) => askedFor.set(request.url!, () => response.end(jwks)))
  const origin = await upstream((request, response) => response.end(`${request.url};`))
  const parts = [{ alg: 'ES256', kid: 'k' }, { exp: 4_102_444_800 }]
  const text = parts.map((one) => Buffer.from(JSON.stringify(one)).toString('base64url')).join('.')
  const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  const authorization = `authorization: Bearer ${text}.${signature.toString('base64url')}\r\n`
  const provider = (path: string) => ({
    jwksSourceSpecifier: {
      $case: 'remoteJwks' as const,
      value: {
        httpUri: {
          uri: `http://keys${path}`,
          httpUpstreamType: { $case: 'cluster' as const, value: 'keys' },
          timeout: { seconds: 9, nanos: 0 },
        },
      },
    },
  })
  const paths = ['/one', '/other']
  const authentication = JwtAuthentication.fromPartial({
    providers: Object.fromEntries(paths.map((path) => [path, provider(path)])),
    rules: paths.map((path) => ({
      match: { pathSpecifier: { $case: 'prefix', value: path } },
      requirementType: { $case: 'requires', value: { requiresType: { $case: 'providerName', value: path } } },
    })),
  })
  const type = 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication'
  const filter = typed('envoy.filters.http.jwt_authn', type, JwtAuthentication.encode(authentication).finish())
  const manager = connectionManager([routeTo('c')], { httpFilters: [filter, routerFilter] })
  const proxy = await proxyTo(origin.port, manager, cluster('keys', [keys.port]))
  const left = connect(proxy)
  left.send('/one', authorization)
  await until(() => askedFor.has('/one'), 'the request for keys')
  left.socket.destroy()
  await until(() => proxy.stats.value('http.test.downstream_rq_active') === 0, 'its end')
  const stays = connect(proxy)
  stays.send('/other', authorization)
  await until(() => askedFor.has('/other'), 'the request for other keys')
  askedFor.get('/one')!()
  await until(() => proxy.stats.value('cluster.keys.upstream_rq_200') === 1, 'the keys')
  await new Promise(setImmediate)
  expect(proxy.stats.value('http.test.jwt_authn.allowed')).toBe(0)
  askedFor.get('/other')!()
  await stays.answer('/other;')
  expect(origin.requests.map(({ url }) => url)).toEqual(['/other'])
  expect(proxy.stats.value('http.test.jwt_authn.allowed')).toBe(1)
})
