import { StatsConfig } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { expect, test } from 'vitest'
import { checkStatTags, tagExtractor } from './stat-tags.ts'

const config = (tagName: string, regex: string) =>
  StatsConfig.fromPartial({ statsTags: [{ tagName, tagValue: { $case: 'regex', value: regex } }], useAllDefaultTags: false })

// From the bootstrap that Istio's agent writes.
test.each([
  ['cluster_name', '^cluster(\\.(.+);)', 'cluster.outbound|80||a.b;.upstream_rq', 'cluster.upstream_rq', 'outbound|80||a.b'],
  [
    'http_conn_manager_listener_prefix',
    '^listener(?=\\.).*?\\.http\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)',
    'listener.0.0.0.0_80.http.0.0.0.0_80.downstream_rq',
    'listener.0.0.0.0_80.http.downstream_rq',
    '0.0.0.0_80',
  ],
  ['authz_enforce_result', 'rbac(\\.(allowed|denied))', 'http.inbound.rbac.denied', 'http.inbound.rbac', 'denied'],
])('%s is found by an expression of ECMAScript', (tag, regex, stat, name, value) => {
  expect(() => checkStatTags(config(tag, regex))).not.toThrow()
  expect(tagExtractor(config(tag, regex), [])(stat)).toEqual({ name, tags: [[tag, value]] })
})

test.each([
  ['server.worker_1.watchdog_miss', 'server.worker_watchdog_miss', { 'envoy.worker_id': '1' }],
  ['thread_local_cluster_manager.worker_0.x', 'thread_local_cluster_manager.worker_x', { 'envoy.worker_id': '0' }],
  ['listener.admin.http.admin.x', 'listener.admin.http.x', { 'envoy.http_conn_manager_prefix': 'admin' }],
  ['listener.0.0.0.0_80.ssl.handshake', 'listener.ssl.handshake', { 'envoy.listener_address': '0.0.0.0_80' }],
  ['listener.edge.worker_0.x', 'listener.worker_x', { 'envoy.listener_address': 'edge', 'envoy.worker_id': '0' }],
  [
    'listener.my.edge.http.in.x',
    'listener.edge.http.x',
    { 'envoy.listener_address': 'my', 'envoy.http_conn_manager_prefix': 'in' },
  ],
  [
    'listener.edge.ssl.certificate.own.expiration_unix_time_seconds',
    'listener.ssl.certificate.expiration_unix_time_seconds',
    { 'envoy.listener_address': 'edge', 'envoy.tls_certificate': 'own' },
  ],
])('%s is %s by Envoy’s own tags', (stat, name, tags) => {
  const tagged = tagExtractor(undefined, [])(stat)
  expect({ ...tagged, tags: Object.fromEntries(tagged.tags) }).toEqual({ name, tags })
})

test('what is no expression is refused', () => {
  expect(() => checkStatTags(config('a', '(a'))).toThrow(/Invalid regex '\(a'/)
})
