import type { FilterChain } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { LocalRateLimit } from '@weft/contracts/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit'
import { UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { typeUrls } from '@weft/xds/types'
import { describe, expect, test } from 'vitest'
import { type Built, builtFor, httpOf, nodeOf, webService } from '../../testing/built-for.ts'
import { originsOf } from '../resource-cache.ts'

const sidecar = nodeOf('sidecar', { LABELS: { app: 'web' }, ISTIO_VERSION: '1.31.0', CLUSTER_ID: 'a' }, '1.1.1.1')
const client = nodeOf('sidecar', { LABELS: { app: 'client' } }, '1.1.1.9')

/** An EnvoyFilter with these patches, each a line of flow YAML. */
const filter = (patches: readonly string[], more = '', name = 'patch', namespace = 'default'): string => `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  ${more}
  configPatches: [${patches.join(', ')}]
---
`
const inboundManager =
  'listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.router } } } }'
const lua = (code: string): string =>
  `{ name: lua-${code}, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: { inline_string: "${code}" } } }`

/** The first chain of what comes in at a port. */
function inboundChain({ listeners }: Built, port: number): FilterChain | undefined {
  return listeners.get('virtualInbound')?.filterChains.find((chain) => chain.filterChainMatch?.destinationPort === port)
}

describe('HTTP filters', () => {
  const insert = (operation: string, code: string, context = 'SIDECAR_INBOUND', match = inboundManager): string =>
    `{ applyTo: HTTP_FILTER, match: { context: ${context}, ${match} }, patch: { operation: ${operation}, value: ${lua(code)} } }`

  test('stand where they are inserted, of the workload and the context that are meant', () => {
    const yaml =
      webService +
      filter(
        [
          insert('INSERT_BEFORE', 'a'),
          insert('INSERT_FIRST', 'b'),
          insert('INSERT_AFTER', 'c'),
          insert('INSERT_BEFORE', 'd', 'GATEWAY'),
          insert('INSERT_BEFORE', 'e', 'SIDECAR_INBOUND', inboundManager.replace('filters.http.router', 'filters.http.none')),
        ],
        'workloadSelector: { labels: { app: web } }',
      )
    const built = builtFor(yaml, sidecar)
    const names = httpOf(inboundChain(built, 80)).httpFilters.map(({ name }) => name)
    expect(names.filter((name) => /lua|router/.test(name))).toEqual(['lua-b', 'lua-a', 'envoy.filters.http.router', 'lua-c'])
    expect(names[0]).toBe('lua-b')
    const others = builtFor(yaml, client)
    expect([...others.listeners.values()].some((listener) => JSON.stringify(listener).includes('lua-'))).toBe(false)
  })

  test('are merged with what is already there, replaced and removed', () => {
    const limit = (more: string): string =>
      `{ name: limit, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, ${more} } }`
    const named = inboundManager.replace('envoy.filters.http.router', 'limit')
    const patch = (operation: string, value: string, match = inboundManager): string =>
      `{ applyTo: HTTP_FILTER, match: { context: SIDECAR_INBOUND, ${match} }, patch: { operation: ${operation}${value === '' ? '' : `, value: ${value}`} } }`
    const added = patch('INSERT_BEFORE', limit('stat_prefix: one, token_bucket: { max_tokens: 5, fill_interval: 1.5s }'))
    const mergedIn = patch('MERGE', limit('token_bucket: { tokens_per_fill: 3, fill_interval: 2s }'), named)
    const limitOf = (patches: readonly string[]): LocalRateLimit | undefined => {
      const built = builtFor(webService + filter(patches), sidecar)
      const config = httpOf(inboundChain(built, 80)).httpFilters.find(({ name }) => name === 'limit')?.configType
      return config?.$case === 'typedConfig' ? LocalRateLimit.decode(config.value.value) : undefined
    }
    expect(limitOf([added, mergedIn])).toMatchObject({
      statPrefix: 'one',
      tokenBucket: { maxTokens: 5, tokensPerFill: 3, fillInterval: { seconds: 2, nanos: 0 } },
    })
    expect(limitOf([added, patch('REPLACE', limit('stat_prefix: two'), named)])).toMatchObject({
      statPrefix: 'two',
      tokenBucket: undefined,
    })
    expect(limitOf([added, patch('REMOVE', '', named)])).toBeUndefined()
  })
})

describe('clusters', () => {
  const patch = (operation: string, match: string, value = ''): string =>
    `{ applyTo: CLUSTER, match: { ${match} }, patch: { operation: ${operation}${value === '' ? '' : `, value: ${value}`} } }`

  test('are added, merged into and removed', () => {
    const name = 'outbound|80||web.default.svc.cluster.local'
    const { clusters, view } = builtFor(
      webService +
        filter([
          patch('ADD', 'context: SIDECAR_OUTBOUND', '{ name: extra, type: STRICT_DNS, connect_timeout: 1s }'),
          patch(
            'MERGE',
            'context: SIDECAR_OUTBOUND, cluster: { service: web.default.svc.cluster.local, portNumber: 80 }',
            '{ connect_timeout: 0.25s, per_connection_buffer_limit_bytes: 77 }',
          ),
          patch('REMOVE', 'context: SIDECAR_OUTBOUND, cluster: { name: "outbound|90||web.default.svc.cluster.local" }'),
          patch(
            'MERGE',
            'context: SIDECAR_INBOUND, cluster: { service: web.default.svc.cluster.local }',
            '{ alt_stat_name: in }',
          ),
          patch('MERGE', 'context: GATEWAY', '{ alt_stat_name: gateway }'),
        ]),
      sidecar,
    )
    expect(clusters.get('extra')).toMatchObject({ connectTimeout: { seconds: 1 } })
    expect(clusters.get(name)).toMatchObject({
      connectTimeout: { seconds: 0, nanos: 250_000_000 },
      perConnectionBufferLimitBytes: 77,
      altStatName: expect.not.stringMatching('gateway'),
    })
    expect(clusters.has('outbound|90||web.default.svc.cluster.local')).toBe(false)
    expect(clusters.get('inbound|80||')?.altStatName).toBe('in')
    const [built] = [...(view.resources.get(typeUrls.cluster) ?? [])].filter((resource) => resource.name === name)
    expect(built && originsOf(built)).toContain('EnvoyFilter/default/patch')
  })
})

test('a transport socket goes into the one that endpoints choose, not beside it', () => {
  const internal = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: inside }
spec: { hosts: [inside.test], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 80, name: http, protocol: HTTP }], endpoints: [{ address: 10.1.1.1 }] }
---
`
  const merge = (name: string, type: string): string =>
    `{ applyTo: CLUSTER, match: { context: SIDECAR_OUTBOUND, cluster: { service: inside.test } }, patch: { operation: MERGE, value: { connect_timeout: 3s, transport_socket: { name: ${name}, typed_config: { "@type": type.googleapis.com/envoy.extensions.transport_sockets.${type}, max_session_keys: 3 } } } } }`
  const clusterWith = (patch: string) => builtFor(internal + filter([patch]), sidecar).clusters.get('outbound|80||inside.test')
  const cluster = clusterWith(merge('envoy.transport_sockets.tls', 'tls.v3.UpstreamTlsContext'))
  const [tls] = cluster?.transportSocketMatches ?? []
  const config = tls?.transportSocket?.configType
  expect(cluster?.transportSocket).toBeUndefined()
  expect(cluster?.connectTimeout?.seconds).toBe(3)
  expect(config?.$case === 'typedConfig' && UpstreamTlsContext.decode(config.value.value)).toMatchObject({
    maxSessionKeys: 3,
    sni: 'outbound_.80_._.inside.test',
  })
  expect(clusterWith(merge('another', 'tls.v3.UpstreamTlsContext'))?.transportSocket).toBeUndefined()
})

describe('routes', () => {
  test('are patched as a whole, by virtual host and by route, called and calling', () => {
    const built = builtFor(
      webService +
        filter([
          '{ applyTo: ROUTE_CONFIGURATION, match: { context: SIDECAR_OUTBOUND }, patch: { operation: MERGE, value: { max_direct_response_body_size_bytes: 9 } } }',
          '{ applyTo: VIRTUAL_HOST, match: { context: SIDECAR_OUTBOUND, routeConfiguration: { vhost: { name: "web.default.svc.cluster.local:80" } } }, patch: { operation: MERGE, value: { include_request_attempt_count: true } } }',
          '{ applyTo: HTTP_ROUTE, match: { context: SIDECAR_OUTBOUND, routeConfiguration: { vhost: { name: "web.default.svc.cluster.local:80" } } }, patch: { operation: INSERT_FIRST, value: { name: first, match: { path: /x }, direct_response: { status: 204 } } } }',
          '{ applyTo: HTTP_ROUTE, match: { context: SIDECAR_INBOUND, routeConfiguration: { portNumber: 80, vhost: { route: { action: ROUTE } } } }, patch: { operation: MERGE, value: { route: { timeout: 7s } } } }',
        ]),
      sidecar,
    )
    const outbound = [...built.routes.values()].find(({ virtualHosts }) =>
      virtualHosts.some(({ name }) => name === 'web.default.svc.cluster.local:80'),
    )
    const host = outbound?.virtualHosts.find(({ name }) => name === 'web.default.svc.cluster.local:80')
    expect(outbound?.maxDirectResponseBodySizeBytes).toBe(9)
    expect(host?.includeRequestAttemptCount).toBe(true)
    expect(host?.routes[0]?.name).toBe('first')
    const inbound = httpOf(inboundChain(built, 80)).routeSpecifier
    expect(inbound).toMatchObject({ value: { virtualHosts: [{ routes: [{ action: { value: { timeout: { seconds: 7 } } } }] }] } })
  })
})

test('listeners, their filters and their chains are patched; priority says in which order', () => {
  const limits = (bytes: number): string =>
    `{ applyTo: LISTENER, match: { context: SIDECAR_INBOUND, listener: { name: virtualInbound } }, patch: { operation: MERGE, value: { per_connection_buffer_limit_bytes: ${bytes} } } }`
  const built = builtFor(
    webService +
      filter([limits(1)], 'priority: 5', 'late') +
      filter([limits(2)], '', 'root', 'istio-system') +
      filter([
        '{ applyTo: LISTENER, match: { context: SIDECAR_INBOUND }, patch: { operation: ADD, value: { name: more, address: { pipe: { path: /tmp/x } } } } }',
        '{ applyTo: LISTENER_FILTER, match: { context: SIDECAR_INBOUND, listener: { portNumber: 80 } }, patch: { operation: INSERT_FIRST, value: { name: probe } } }',
        '{ applyTo: NETWORK_FILTER, match: { context: SIDECAR_INBOUND, listener: { portNumber: 90, filterChain: { filter: { name: envoy.filters.network.tcp_proxy } } } }, patch: { operation: INSERT_BEFORE, value: { name: before } } }',
      ]),
    sidecar,
  )
  const http = built.listeners.get('virtualInbound')
  expect(http?.perConnectionBufferLimitBytes).toBe(1)
  expect(http?.listenerFilters[0]?.name).toBe('probe')
  expect(built.listeners.has('more')).toBe(true)
  const names = inboundChain(built, 90)?.filters.map(({ name }) => name) ?? []
  expect(names.indexOf('before')).toBe(names.indexOf('envoy.filters.network.tcp_proxy') - 1)
})

test('what no proxy is meant by changes nothing', () => {
  const patch = (match: string): string =>
    `{ applyTo: CLUSTER, match: { ${match} }, patch: { operation: ADD, value: { name: extra } } }`
  const has = (match: string, namespace = 'default'): boolean =>
    builtFor(webService + filter([patch(match)], '', 'patch', namespace), sidecar).clusters.has('extra')
  expect(has('proxy: { proxyVersion: "^1\\\\.31.*" }')).toBe(true)
  expect(has('proxy: { proxyVersion: "^1\\\\.30.*" }')).toBe(false)
  expect(has('proxy: { metadata: { CLUSTER_ID: a } }')).toBe(true)
  expect(has('proxy: { metadata: { CLUSTER_ID: b } }')).toBe(false)
  expect(has('context: ANY', 'istio-system')).toBe(true)
  expect(has('context: ANY', 'other')).toBe(false)
})
