import { describe, expect, it } from 'vitest'
import { parseConfigDocument } from '../bootstrap/document.ts'
import { decodeDocuments } from '../control/validation/decode.ts'
import { type FakeRequest, FakeStream } from '../filters/http/fake-stream.ts'
import { Runtime } from '../plan/runtime.ts'
import { selectCluster } from './route-action.ts'
import { decodeRouteTable } from './route-table.ts'

function tableOf(yaml: string, runtime = new Runtime()) {
  const bytes = decodeDocuments('envoy.config.route.v3.RouteConfiguration', [parseConfigDocument(yaml)])
  return decodeRouteTable(bytes, runtime, () => null)
}

interface Asked extends FakeRequest {
  metadata?: Record<string, Record<string, unknown>>
  state?: Record<string, string>
}

/** The cluster that a request comes to; null: no route. */
function clusterOf(yaml: string, asked: Asked, runtime?: Runtime): string | null {
  const stream = new FakeStream(asked)
  stream.metadataOrNull = asked.metadata ?? null
  for (const [key, value] of Object.entries(asked.state ?? {})) stream.filterState.set(key, value)
  const outcome = tableOf(yaml, runtime).match(stream.request, stream)?.outcome
  if (outcome?.type !== 'forward') return null
  return selectCluster(outcome.forward.cluster, stream.request, 0.5)?.name ?? null
}

const routes = (match: string) => `
virtual_hosts:
- name: shop
  domains: ['*']
  routes:
  - {match: {prefix: /, ${match}}, route: {cluster: special}}
  - {match: {prefix: /}, route: {cluster: plain}}`

// What Envoy 1.40 answered to the same requests.
describe('a route match', () => {
  it.each([
    ['cookies: [{name: a, string_match: {exact: x}}]', { headers: { cookie: 'b=1; a=x' } }, 'special'],
    ['cookies: [{name: a, string_match: {exact: x}}]', { headers: { cookie: 'a="x"' } }, 'special'],
    ['cookies: [{name: a, string_match: {exact: x}}]', { headers: { cookie: 'a=y; a=x' } }, 'plain'],
    ['cookies: [{name: a, string_match: {exact: x}}]', { headers: { cookie: 'A=x' } }, 'plain'],
    ['cookies: [{name: a, string_match: {exact: x}, invert_match: true}]', {}, 'special'],
    ['cookies: [{name: a, string_match: {exact: x}, invert_match: true}]', { headers: { cookie: 'a=x' } }, 'plain'],
    ['filter_state: [{key: k, string_match: {exact: v}}]', { state: { k: 'v' } }, 'special'],
    ['filter_state: [{key: k, string_match: {exact: v}}]', {}, 'plain'],
    [
      'filter_state: [{key: k, address_match: {ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}}]',
      { state: { k: '10.1.2.3' } },
      'special',
    ],
    [
      'dynamic_metadata: [{filter: jwt, path: [{key: group}], value: {string_match: {exact: admin}}}]',
      { metadata: { jwt: { group: 'admin' } } },
      'special',
    ],
    ['dynamic_metadata: [{filter: jwt, path: [{key: group}], value: {string_match: {exact: admin}}}]', {}, 'plain'],
    ['tls_context: {presented: false}', {}, 'special'],
    ['tls_context: {presented: true}', {}, 'plain'],
  ] as [string, Asked, string][])('%s with %j leads to %s', (match, asked, cluster) => {
    expect(clusterOf(routes(match), asked)).toBe(cluster)
  })
})

const input = (type: string, rest = '') => `input: {name: i, typed_config: {'@type': type.googleapis.com/${type}${rest}}}`
const path = input('envoy.type.matcher.v3.HttpRequestHeaderMatchInput', ", header_name: ':path'")
const to = (cluster: string) =>
  `{action: {name: r, typed_config: {'@type': type.googleapis.com/envoy.config.route.v3.Route, match: {prefix: /}, route: {cluster: ${cluster}}}}}`
const treeOf = (matcher: string) => `
virtual_hosts:
- name: shop
  domains: ['*']
  matcher: ${matcher}`

describe('a virtual host with a tree of matchers', () => {
  const exact = treeOf(
    `{matcher_tree: {${path}, exact_match_map: {map: {/a: ${to('a')}, /b: ${to('b')}}}}, on_no_match: ${to('rest')}}`,
  )
  const nested = `{matcher: {matcher_tree: {${path}, exact_match_map: {map: {/shop/cart: ${to('cart')}}}}}}`
  const prefixes = treeOf(`{matcher_tree: {${path}, prefix_match_map: {map: {/: ${to('root')}, /shop: ${nested}}}}}`)
  const single = `single_predicate: {${path}, value_match: {prefix: /a}}`
  const list = treeOf(`{matcher_list: {matchers: [{predicate: {not_matcher: {${single}}}, on_match: ${to('other')}}]}}`)
  const ranges = `{'@type': type.googleapis.com/xds.type.matcher.v3.IPMatcher, range_matchers: [{ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}], on_match: ${to('wide')}}, {ranges: [{address_prefix: 10.1.0.0, prefix_len: 16}], on_match: ${to('near')}}]}`
  const source = input('envoy.extensions.matching.common_inputs.network.v3.SourceIPInput')
  const addresses = treeOf(`{matcher_tree: {${source}, custom_match: {name: ip, typed_config: ${ranges}}}}`)

  it.each([
    ['the value of a map', exact, { path: '/b' }, 'b'],
    ['what is said for no match', exact, { path: '/c' }, 'rest'],
    ['the longest prefix', prefixes, { path: '/shop/cart' }, 'cart'],
    ['a shorter one where the longest leads nowhere', prefixes, { path: '/shop/desk' }, 'root'],
    ['a predicate turned round', list, { path: '/b' }, 'other'],
    ['nothing', list, { path: '/a' }, null],
    ['the narrowest range', addresses, { info: { downstreamRemoteAddress: '10.1.2.3' } }, 'near'],
    ['a wider range', addresses, { info: { downstreamRemoteAddress: '10.2.2.3' } }, 'wide'],
  ] as [string, string, Asked, string | null][])('goes by %s', (_what, yaml, asked, cluster) => {
    expect(clusterOf(yaml, asked)).toBe(cluster)
  })

  it('takes no routes beside it, and no inputs that it does not know', () => {
    expect(() => tableOf(`${exact}\n  routes: [{match: {prefix: /}, route: {cluster: c}}]`)).toThrow('both routes and matcher')
    const unknown = input('envoy.type.matcher.v3.HttpResponseHeaderMatchInput', ', header_name: x')
    expect(() => tableOf(treeOf(`{matcher_tree: {${unknown}, exact_match_map: {map: {x: ${to('x')}}}}}`))).toThrow(
      'not supported',
    )
  })
})

describe('a route configuration', () => {
  it('has runtime change the weights of its clusters', () => {
    const yaml = `
virtual_hosts:
- name: shop
  domains: ['*']
  routes:
  - match: {prefix: /}
    route:
      weighted_clusters:
        runtime_key_prefix: shop
        clusters: [{name: a, weight: 90}, {name: b, weight: 10}]`
    const runtime = new Runtime()
    expect(clusterOf(yaml, {}, runtime)).toBe('a')
    runtime.replace({ 'shop.a': 10, 'shop.b': 90 })
    expect(clusterOf(yaml, {}, runtime)).toBe('b')
  })

  it('reads the virtual host from a header, a cluster from the authority, and no path parameters', () => {
    const yaml = `
vhost_header: x-shop
ignore_path_parameters_in_path_matching: true
virtual_hosts:
- name: shop
  domains: [shop]
  routes:
  - {match: {path: /cart}, route: {cluster_header: ':authority'}}`
    expect(clusterOf(yaml, { path: '/cart;id=1?x', authority: 'c', headers: { 'x-shop': 'shop' } })).toBe('c')
    expect(clusterOf(yaml, { path: '/cart', authority: 'shop' })).toBeNull()
  })

  it('takes hash policies for the choice of a cluster, and refuses weights and rewrites that contradict each other', () => {
    const weighted = (more: string) => `
virtual_hosts:
- name: shop
  domains: ['*']
  routes: [{match: {prefix: /}, route: {hash_policy: [{header: {header_name: x}}], weighted_clusters: {clusters: [{name: a, weight: 1}${more}}}}]`
    const outcome = tableOf(weighted('], use_hash_policy: true')).match(new FakeStream().request, new FakeStream())?.outcome
    expect(outcome).toMatchObject({ forward: { cluster: { byHash: true } } })
    expect(() => tableOf(weighted(', {weight: 1}]'))).toThrow('exactly one of name and cluster_header')
    expect(() => tableOf(weighted(', {name: b, weight: 4294967295}]'))).toThrow('must not be greater')
    const rewritten = `virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: c, prefix_rewrite: /a, path_rewrite: /b}}]}]`
    expect(() => tableOf(rewritten)).toThrow('only one of prefix_rewrite')
  })

  it('mirrors by the policies of the route, else of the virtual host, else of the whole', () => {
    const mirrored = (route: string, host: string) => {
      const outcome = tableOf(`
request_mirror_policies: [{cluster: of-table}]
virtual_hosts:
- name: shop
  domains: ['*']
  ${host}
  routes: [{match: {prefix: /}, route: {cluster: c${route}}}]`).match(new FakeStream().request, new FakeStream())?.outcome
      return outcome?.type === 'forward' ? outcome.forward.mirrors.map(({ cluster }) => cluster) : null
    }
    const ofHost = 'request_mirror_policies: [{cluster: of-host}]'
    expect(mirrored(', request_mirror_policies: [{cluster: own}]', ofHost)).toEqual(['own'])
    expect(mirrored('', ofHost)).toEqual(['of-host'])
    expect(mirrored('', '')).toEqual(['of-table'])
  })
})
