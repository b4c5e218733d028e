import net from 'node:net'
import { ConnectionLimit } from '@weft/contracts/envoy/extensions/filters/network/connection_limit/v3/connection_limit'
import { Config as DirectResponse } from '@weft/contracts/envoy/extensions/filters/network/direct_response/v3/config'
import { ExtAuthz } from '@weft/contracts/envoy/extensions/filters/network/ext_authz/v3/ext_authz'
import { LocalRateLimit } from '@weft/contracts/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit'
import { RBAC } from '@weft/contracts/envoy/extensions/filters/network/rbac/v3/rbac'
import { expect, onTestFinished, test } from 'vitest'
import { echo, listener, typed } from '../../testing/resources.ts'
import { worker } from '../../testing/test-proxy.ts'
import type { WorkerHarness } from '../../testing/worker-harness.ts'

const filter = (type: string, bytes: Uint8Array) => typed(type, `envoy.extensions.filters.network.${type}`, bytes)

async function proxyWith(...filters: ReturnType<typeof filter>[]): Promise<WorkerHarness> {
  const proxy = worker()
  expect(await proxy.apply(listener('l', [{ filters }]))).toEqual([])
  return proxy
}

/** A connection that says `hello`; `heard` gives what came until as many bytes were there or it closed. */
function talk(port: number): { socket: net.Socket; heard: Promise<string> } {
  const socket = net.connect(port, '127.0.0.1', () => socket.write('hello'))
  onTestFinished(() => void socket.destroy())
  const heard = new Promise<string>((resolve) => {
    let text = ''
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
    socket.on('data', (chunk) => {
      text += chunk.toString()
      if (text.length >= 5) resolve(text)
    })
  })
  return { socket, heard }
}

test('a connection without a token is closed', async () => {
  const limit = filter(
    'local_ratelimit.v3.LocalRateLimit',
    LocalRateLimit.encode(
      LocalRateLimit.fromPartial({ statPrefix: 'n', tokenBucket: { maxTokens: 1, fillInterval: { seconds: 3600 } } }),
    ).finish(),
  )
  const proxy = await proxyWith(limit, echo)
  expect(await talk(proxy.port('l')).heard).toBe('hello')
  expect(await talk(proxy.port('l')).heard).toBe('')
  await expect.poll(() => proxy.stats.value('local_rate_limit.n.rate_limited')).toBe(1)
})

test('one connection more than may be is closed, until another has left', async () => {
  const limit = filter(
    'connection_limit.v3.ConnectionLimit',
    ConnectionLimit.encode(ConnectionLimit.fromPartial({ statPrefix: 'n', maxConnections: 1 })).finish(),
  )
  const proxy = await proxyWith(limit, echo)
  const first = talk(proxy.port('l'))
  expect(await first.heard).toBe('hello')
  expect(await talk(proxy.port('l')).heard).toBe('')
  expect(proxy.stats.value('connection_limit.n.limited_connections')).toBe(1)
  first.socket.destroy()
  await expect.poll(() => proxy.stats.value('connection_limit.n.active_connections')).toBe(0)
  expect(await talk(proxy.port('l')).heard).toBe('hello')
})

test('a direct response is all that is said', async () => {
  const response = DirectResponse.fromPartial({ response: { specifier: { $case: 'inlineString', value: 'go away' } } })
  const proxy = await proxyWith(filter('direct_response.v3.Config', DirectResponse.encode(response).finish()))
  expect(await talk(proxy.port('l')).heard).toBe('go away')
})

test('without its authorization service a connection is closed, or passes where failures may', async () => {
  const authz = (failureModeAllow: boolean, shadowMode = false) =>
    filter(
      'ext_authz.v3.ExtAuthz',
      ExtAuthz.encode(
        ExtAuthz.fromPartial({
          statPrefix: 'n',
          failureModeAllow,
          shadowMode,
          grpcService: { targetSpecifier: { $case: 'envoyGrpc', value: { clusterName: 'nowhere' } } },
        }),
      ).finish(),
    )
  const strict = await proxyWith(authz(false), echo)
  expect(await talk(strict.port('l')).heard).toBe('')
  await expect.poll(() => strict.stats.value('ext_authz.n.cx_closed')).toBe(1)
  const open = await proxyWith(authz(true), echo)
  expect(await talk(open.port('l')).heard).toBe('hello')
  expect(open.stats.value('ext_authz.n.failure_mode_allowed')).toBe(1)
  const shadow = await proxyWith(authz(false, true), echo)
  expect(await talk(shadow.port('l')).heard).toBe('hello')
  expect(shadow.stats.value('ext_authz.n.error')).toBe(1)
  expect(shadow.stats.value('ext_authz.n.failure_mode_allowed')).toBe(0)
})

test('who may not connect is turned away when the delay is over', async () => {
  const deny = RBAC.fromPartial({
    statPrefix: 'n',
    delayDeny: { seconds: 0, nanos: 300_000_000 },
    rules: {
      action: 1,
      policies: {
        all: {
          permissions: [{ rule: { $case: 'any', value: true } }],
          principals: [{ identifier: { $case: 'any', value: true } }],
        },
      },
    },
  })
  const proxy = await proxyWith(filter('rbac.v3.RBAC', RBAC.encode(deny).finish()), echo)
  const { socket, heard } = talk(proxy.port('l'))
  await expect.poll(() => proxy.stats.value('n.rbac.denied')).toBe(1)
  expect(socket.destroyed).toBe(false)
  expect(await heard).toBe('')
})
