import {
  FilterConfig,
  PerRouteConfig,
} from '@weft/contracts/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ClusterHandle } from '../../../worker-services.ts'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import type { CompiledHttpFilter } from '../filter.ts'
import { dynamicForwardProxy } from './index.ts'

/** A context with a cluster `names` that connects to what requests name. */
function filterOf(source: Parameters<typeof FilterConfig.fromPartial>[0], maxPending = 10) {
  const context = new FakeContext({ names: 1, plain: 1 })
  const { cluster } = context.services
  const forwarding = (handle: ClusterHandle | undefined) => (handle === undefined ? handle : { ...handle, forwardsToPort: 443 })
  Object.assign(context.services, { cluster: (name: string) => (name === 'names' ? forwarding(cluster(name)) : cluster(name)) })
  const value = { name: 'n', dnsLookupFamily: 1 as const, dnsCacheCircuitBreaker: { maxPendingRequests: maxPending } }
  const config = FilterConfig.fromPartial({ implementationSpecifier: { $case: 'dnsCacheConfig', value }, ...source })
  const filter = dynamicForwardProxy.compile(FilterConfig.encode(config).finish(), context)
  onTestFinished(() => {
    context.close()
    filter.close?.()
  })
  return { filter, context }
}

const route = (cluster: string) => ({ name: '', virtualHost: '', cluster, metadata: {} })

function ask(filter: CompiledHttpFilter, authority: string, routeConfig?: unknown, cluster = 'names') {
  const stream = new FakeStream({ authority, route: route(cluster), headers: { 'x-to': '10.9.9.9:81' } })
  const one = filter.start(stream, routeConfig)
  return { stream, one, status: one?.onRequestHeaders?.(stream, true) }
}

const perRoute = (source: Parameters<typeof PerRouteConfig.fromPartial>[0]) =>
  dynamicForwardProxy.compileRouteConfig?.(
    PerRouteConfig.encode(PerRouteConfig.fromPartial(source)).finish(),
    '',
    new FakeContext(),
  )

describe('dynamic_forward_proxy', () => {
  it('lets an address go on at once, and tells it where it is to be saved', () => {
    const { filter } = filterOf({ saveUpstreamAddress: true })
    const { stream, status } = ask(filter, '10.0.0.1')
    expect(status).toBe('continue')
    expect(stream.filterState.get('envoy.stream.upstream_address')).toBe('10.0.0.1:443')
  })

  it('takes what a route says instead of the name of the request', () => {
    const { filter } = filterOf({})
    const literal = perRoute({ hostRewriteSpecifier: { $case: 'hostRewriteLiteral', value: '10.1.1.1' } })
    expect(ask(filter, 'a b', literal).stream.request.authority).toBe('10.1.1.1')
    const header = perRoute({ hostRewriteSpecifier: { $case: 'hostRewriteHeader', value: 'x-to' } })
    expect(ask(filter, 'a b', header).stream.request.authority).toBe('10.9.9.9:81')
  })

  it('goes by filter state where it may', () => {
    const { filter, context } = filterOf({ allowDynamicHostFromFilterState: true })
    const stream = new FakeStream({ authority: 'a b', route: route('names') })
    stream.filterState.set('envoy.upstream.dynamic_host', '10.0.0.1')
    expect(filter.start(stream, undefined)?.onRequestHeaders?.(stream, true)).toBe('continue')
    expect(context.counter('dns_cache.n.dns_query_success')).toBe(1)
  })

  it('answers where a name can’t be resolved, there is none, or too many wait', () => {
    const { filter } = filterOf({})
    expect(ask(filter, 'a b').stream.replied?.options).toMatchObject({
      details: 'dns_resolution_failure{cares_failure:Misformatted_domain_name}',
      flags: ['DF'],
    })
    expect(ask(filter, '').stream.replied?.status).toBe(400)
    expect(ask(filterOf({}, 0).filter, 'a.test').stream.replied?.body).toBe('Dynamic forward proxy pending request overflow')
  })

  it('holds a request until its name is resolved, and counts it no longer when it is gone', () => {
    const { filter } = filterOf({}, 1)
    const first = ask(filter, 'localhost')
    expect(first.status).toBe('stop')
    expect(ask(filter, 'localhost').stream.replied?.status).toBe(503)
    first.one?.onComplete?.(first.stream)
    expect(ask(filter, 'localhost').status).toBe('stop')
  })

  it('takes no part in requests to other clusters', () => {
    expect(ask(filterOf({}).filter, 'a b', undefined, 'plain').one).toBeNull()
  })
})
