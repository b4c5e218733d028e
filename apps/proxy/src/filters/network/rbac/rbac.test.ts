import net from 'node:net'
import { Action, RBAC_Action } from '@weft/contracts/envoy/config/rbac/v3/rbac'
import { RBAC } from '@weft/contracts/envoy/extensions/filters/network/rbac/v3/rbac'
import { TcpProxy } from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import { expect, onTestFinished, test } from 'vitest'
import { cluster, connectionManager, listener, routeTo, typed } from '../../../testing/resources.ts'
import { worker } from '../../../testing/test-proxy.ts'

async function greeter(): Promise<number> {
  const server = net.createServer((socket) => socket.end('hello'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** What is heard of a server that speaks first, or answers `say`. */
function heard(port: number, say = ''): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = net.connect(port, '127.0.0.1')
    if (say !== '') socket.write(say)
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
  })
}

const rbac = (action: RBAC_Action, addressPrefix: string) =>
  typed(
    'rbac',
    'envoy.extensions.filters.network.rbac.v3.RBAC',
    RBAC.encode(
      RBAC.fromPartial({
        statPrefix: 'tcp.',
        rules: {
          action,
          policies: {
            'ns[a]-policy[b]-rule[0]': {
              permissions: [{ rule: { $case: 'any', value: true } }],
              principals: [{ identifier: { $case: 'directRemoteIp', value: { addressPrefix, prefixLen: 8 } } }],
            },
          },
        },
      }),
    ).finish(),
  )

const toGreeter = typed(
  'tcp',
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
  TcpProxy.encode(TcpProxy.fromPartial({ statPrefix: 't', clusterSpecifier: { $case: 'cluster', value: 'c' } })).finish(),
)

test('connections that the rules refuse are closed before anything is said, others go on', async () => {
  const proxy = worker()
  const errors = await proxy.apply(
    cluster('c', [await greeter()]),
    listener('open', [{ filters: [rbac(RBAC_Action.ALLOW, '127.0.0.0'), rbac(RBAC_Action.DENY, '10.0.0.0'), toGreeter] }]),
    listener('shut', [{ filters: [rbac(RBAC_Action.ALLOW, '10.0.0.0'), toGreeter] }]),
    listener('denied', [{ filters: [rbac(RBAC_Action.DENY, '127.0.0.0'), connectionManager([routeTo('c')])] }]),
  )
  expect(errors).toEqual([])
  expect(await heard(proxy.port('open'))).toBe('hello')
  expect(await heard(proxy.port('shut'))).toBe('')
  expect(await heard(proxy.port('denied'), 'GET / HTTP/1.1\r\nhost: a\r\n\r\n')).toBe('')
  await expect.poll(() => proxy.stats.value('tcp.rbac.denied')).toBe(2)
  expect(proxy.stats.value('tcp.rbac.allowed')).toBe(2)
})

test('rules that are only tried are asked when the client speaks, not when the server does', async () => {
  const shadow = RBAC.fromPartial({ statPrefix: 's', shadowRules: { action: RBAC_Action.ALLOW, policies: {} } })
  const tried = typed('rbac', 'envoy.extensions.filters.network.rbac.v3.RBAC', RBAC.encode(shadow).finish())
  const proxy = worker()
  expect(await proxy.apply(cluster('c', [await greeter()]), listener('l', [{ filters: [tried, toGreeter] }]))).toEqual([])
  expect(await heard(proxy.port('l'))).toBe('hello')
  expect(await heard(proxy.port('l'), 'hi')).toBe('hello')
  await expect.poll(() => proxy.stats.value('s.rbac.shadow_denied')).toBe(1)
})

test('a tree of matchers decides by the connection, and what it does not know is refused', async () => {
  const action = {
    name: 'allow',
    typedConfig: {
      typeUrl: 'type.googleapis.com/envoy.config.rbac.v3.Action',
      value: Buffer.from(Action.encode(Action.fromPartial({ name: 'p', action: RBAC_Action.ALLOW })).finish()),
    },
  }
  const tree = (input: string, value: string) => ({
    matcherType: {
      $case: 'matcherTree' as const,
      value: {
        input: { name: 'i', typedConfig: { typeUrl: `type.googleapis.com/${input}`, value: Buffer.alloc(0) } },
        treeType: {
          $case: 'exactMatchMap' as const,
          value: { map: { [value]: { onMatch: { $case: 'action' as const, value: action } } } },
        },
      },
    },
  })
  const by = (input: string, value: string) =>
    typed(
      'rbac',
      'envoy.extensions.filters.network.rbac.v3.RBAC',
      RBAC.encode(RBAC.fromPartial({ statPrefix: 'm.', matcher: tree(input, value) })).finish(),
    )
  const source = 'envoy.extensions.matching.common_inputs.network.v3.SourceIPInput'
  const proxy = worker()
  const errors = await proxy.apply(
    cluster('c', [await greeter()]),
    listener('open', [{ filters: [by(source, '127.0.0.1'), toGreeter] }]),
    listener('shut', [{ filters: [by(source, '127.0.0.9'), toGreeter] }]),
    listener('no request', [{ filters: [by('envoy.type.matcher.v3.HttpRequestHeaderMatchInput', 'x'), toGreeter] }]),
  )
  expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining('HttpRequestHeaderMatchInput')])
  expect(await heard(proxy.port('open'))).toBe('hello')
  expect(await heard(proxy.port('shut'))).toBe('')
  await expect.poll(() => proxy.stats.value('m.rbac.denied')).toBe(1)
  expect(proxy.stats.value('m.rbac.allowed')).toBe(1)
})

test('a filter that ends no chain can not be the last one, and one that does has to be', async () => {
  const proxy = worker()
  const errors = await proxy.apply(
    cluster('c', [1]),
    listener('a', [{ filters: [rbac(RBAC_Action.ALLOW, '127.0.0.0')] }]),
    listener('b', [{ filters: [toGreeter, toGreeter] }]),
  )
  expect(errors.map(({ message }) => message).join('\n')).toMatch(/cannot end a chain[\s\S]*has to be the last one/)
})
