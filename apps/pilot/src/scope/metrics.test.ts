import { expect, test } from 'vitest'
import { readExtensionProviders } from '../model/extension-providers.ts'
import { defaultMeshSettings, type MeshSettings } from '../model/mesh-settings.ts'
import { nodeOf } from '../testing/built-for.ts'
import { snapshotOf } from '../testing/snapshot-of.ts'
import { selectedMetrics } from './metrics.ts'
import { scopeOf } from './scope-of.ts'

const telemetry = (name: string, namespace: string, metrics: object[], more: object = {}): string =>
  JSON.stringify({
    apiVersion: 'telemetry.istio.io/v1',
    kind: 'Telemetry',
    metadata: { name, namespace },
    spec: { metrics, ...more },
  })
const workload = { selector: { matchLabels: { app: 'web' } } }
const prometheus = { providers: [{ name: 'prometheus' }] }

function selected(objects: string[], mesh: Partial<MeshSettings> = {}, mode: 'client' | 'server' = 'server') {
  const node = nodeOf('sidecar', { NAMESPACE: 'shop', LABELS: { app: 'web' } })
  return selectedMetrics(scopeOf(snapshotOf(objects.join('\n---\n'), { ...defaultMeshSettings, ...mesh }), node), mode)
}

test('metrics are counted where somebody asks for them', () => {
  expect(selected([])).toBeUndefined()
  expect(selected([], { metricsProviders: ['prometheus'] })).toEqual({ interval: undefined, changes: [] })
  expect(selected([telemetry('mesh', 'istio-system', [prometheus])])).toEqual({ interval: undefined, changes: [] })
  expect(selected([telemetry('other', 'elsewhere', [prometheus])])).toBeUndefined()
  const statsd = readExtensionProviders([
    { name: 'mine', prometheus: {} },
    { name: 'other', zipkin: { service: 'z', port: 1 } },
  ])
  const by = (name: string) => selected([telemetry('all', 'shop', [{ providers: [{ name }] }])], { extensionProviders: statsd })
  expect([by('mine'), by('other'), by('nobody')].map((one) => one !== undefined)).toEqual([true, false, false])
})

test('overrides change single metrics or all, of clients, servers or both; the narrower Telemetry goes before the wider', () => {
  const tags = (operation: string, value = '') => ({ operation, ...(value === '' ? {} : { value }) })
  const mesh = telemetry('mesh', 'istio-system', [
    {
      ...prometheus,
      reportingInterval: '7s',
      overrides: [
        {
          match: { metric: 'REQUEST_COUNT' },
          tagOverrides: { method: tags('UPSERT', 'request.method'), source_app: tags('REMOVE') },
        },
        { match: { metric: 'REQUEST_SIZE', mode: 'CLIENT' }, disabled: true },
        { match: { customMetric: 'mine' }, tagOverrides: { a: tags('UPSERT', 'b') } },
      ],
    },
  ])
  const own = telemetry(
    'own',
    'shop',
    [{ overrides: [{ match: { metric: 'REQUEST_COUNT' }, tagOverrides: { source_app: tags('UPSERT', "'x'") } }] }],
    workload,
  )
  const count = { metric: 'requests_total', dropped: false }
  const mine = { metric: 'mine', dropped: false, removed: [], dimensions: { a: 'b' } }
  const interval = { seconds: 7, nanos: 0 }
  expect(selected([mesh])).toEqual({
    interval,
    changes: [{ ...count, removed: ['source_app'], dimensions: { method: 'request.method' } }, mine],
  })
  expect(selected([mesh, own])?.changes[0]).toEqual({
    ...count,
    removed: [],
    dimensions: { method: 'request.method', source_app: "'x'" },
  })
  expect(selected([mesh], {}, 'client')?.changes[1]).toEqual({
    metric: 'request_bytes',
    dropped: true,
    removed: [],
    dimensions: {},
  })
})

test('all metrics together are turned off, and on again', () => {
  const all = (disabled: boolean, mode = 'CLIENT_AND_SERVER') => ({
    overrides: [{ match: { metric: 'ALL_METRICS', mode }, disabled }],
  })
  const mesh = telemetry('mesh', 'istio-system', [prometheus])
  const off = telemetry('all', 'shop', [all(true)])
  const on = telemetry('own', 'shop', [all(false)], workload)
  const servers = telemetry('all', 'shop', [all(true, 'SERVER')])
  expect([selected([mesh, off]), selected([mesh, servers])]).toEqual([undefined, undefined])
  expect(selected([mesh, servers], {}, 'client')).toBeDefined()
  const changes = selected([mesh, off, on])?.changes ?? []
  expect(changes).toHaveLength(10)
  expect(changes.every(({ dropped }) => !dropped)).toBe(true)
})
