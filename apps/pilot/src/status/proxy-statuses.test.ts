import { Registry } from '@weft/service/metrics'
import { expect, test } from 'vitest'
import { snapshotOf } from '../testing/snapshot-of.ts'
import { ProxyStatuses } from './proxy-statuses.ts'
import { PushMetrics } from './push-metrics.ts'

const node = { connectionId: '1', nodeId: 'sidecar~a' }
const info = { namespace: 'default', version: 'envoy', isWeft: false }
const snapshot = snapshotOf('apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ port: 80 }] }\n')

function connected(): ProxyStatuses {
  const statuses = new ProxyStatuses(() => snapshot)
  statuses.connected(node, info)
  return statuses
}

test('a proxy is settled with a generation when each type it watches is', () => {
  const statuses = connected()
  statuses.sent(node, 'Cluster', 2, 'c')
  statuses.sent(node, 'Listener', 2, 'l')
  expect(statuses.progress(2).waiting).toEqual(['sidecar~a'])
  statuses.acked(node, 'Cluster', 'c')
  expect(statuses.progress(2).waiting).toEqual(['sidecar~a'])
  statuses.acked(node, 'Listener', 'l')
  expect(statuses.progress(2).settled).toEqual(['sidecar~a'])
  expect(statuses.progress(3).waiting).toEqual(['sidecar~a'])
  statuses.unchanged(node, 'Cluster', 3)
  statuses.unchanged(node, 'Listener', 3)
  expect(statuses.progress(3).settled).toEqual(['sidecar~a'])
})

test('what changes nothing waits for the answer that is still on its way', () => {
  const statuses = connected()
  statuses.sent(node, 'Cluster', 2, 'c')
  statuses.unchanged(node, 'Cluster', 3)
  expect(statuses.progress(3).waiting).toEqual(['sidecar~a'])
  statuses.acked(node, 'Cluster', 'c')
  expect(statuses.progress(3).settled).toEqual(['sidecar~a'])
})

test('a refusal is kept with its objects until the type is accepted again', () => {
  const statuses = connected()
  statuses.sent(node, 'Cluster', 2, 'c')
  statuses.nacked(node, 'Cluster', 'c', 'no such thing', [
    { name: 'outbound|80||a', objects: ['Service/default/a', 'Service/default/gone'] },
  ])
  expect(statuses.progress(2).refused).toEqual(['sidecar~a'])
  expect(statuses.nacks()).toEqual([
    {
      node: 'sidecar~a',
      resourceType: 'Cluster',
      resource: 'outbound|80||a',
      message: 'no such thing',
      objects: [{ object: 'Service/default/a', file: 'test.yaml', line: 1 }],
    },
  ])
  statuses.sent(node, 'Cluster', 3, 'd')
  statuses.acked(node, 'Cluster', 'd')
  expect(statuses.nacks()).toEqual([])
  expect(statuses.progress(3).settled).toEqual(['sidecar~a'])
})

test('an answer to an unknown push, or from a connection that is gone, is nothing', () => {
  const statuses = connected()
  statuses.acked(node, 'Cluster', 'never sent')
  statuses.disconnected(node)
  statuses.sent(node, 'Cluster', 2, 'c')
  statuses.nacked(node, 'Cluster', 'c', 'x', [])
  expect(statuses.list()).toEqual([])
  expect(statuses.progress(9)).toEqual({ settled: [], refused: [], waiting: [] })
})

test('a policy that the refusal names is blamed before the service whose listener it is in', () => {
  const policy = 'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p }\nspec: {}\n'
  const service = 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ port: 80 }] }\n'
  const both = snapshotOf(`${service}---\n${policy}`)
  const statuses = new ProxyStatuses(() => both)
  statuses.connected(node, info)
  statuses.sent(node, 'Listener', 2, 'l')
  const objects = ['Service/default/a', 'AuthorizationPolicy/default/p']
  statuses.nacked(node, 'Listener', 'l', 'policies["ns[default]-policy[p]-rule[0]"]: bad', [{ name: 'l', objects }])
  expect(statuses.nacks()[0]?.objects.map(({ object }) => object)).toEqual([...objects].reverse())
})

test('convergence time counts changes that came while the proxy was connected', async () => {
  const registry = new Registry()
  const metrics = new PushMetrics(registry)
  const statuses = new ProxyStatuses(() => snapshot, metrics)
  metrics.changed(1, performance.now() - 1_000)
  statuses.connected(node, info)
  statuses.sent(node, 'Cluster', 1, 'a')
  statuses.acked(node, 'Cluster', 'a')
  metrics.changed(2, performance.now() + 0.001)
  statuses.sent(node, 'Cluster', 2, 'b')
  statuses.acked(node, 'Cluster', 'b')
  const text = await registry.metrics()
  expect(text).toContain('pilot_proxy_convergence_time_count 1')
  expect(text).toContain('pilot_xds_pushes{type="cds"} 2')
  expect(text).toContain('pilot_xds 1')
})
