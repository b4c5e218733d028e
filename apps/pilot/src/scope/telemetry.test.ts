import { expect, test } from 'vitest'
import { defaultMeshSettings } from '../model/mesh-settings.ts'
import { nodeOf } from '../testing/built-for.ts'
import { snapshotOf } from '../testing/snapshot-of.ts'
import type { Scope } from './scope.ts'
import { scopeOf } from './scope-of.ts'
import { selectedLogs, selectedTracing, type TelemetryMode } from './telemetry.ts'

const telemetry = (name: string, namespace: string, spec: object): string =>
  JSON.stringify({ apiVersion: 'telemetry.istio.io/v1', kind: 'Telemetry', metadata: { name, namespace }, spec })

const workload = { selector: { matchLabels: { app: 'web' } } }
const provider = (...names: string[]) => ({ providers: names.map((name) => ({ name })) })

function scope(objects: string[], providers: { logs?: string[]; tracing?: string } = {}): Scope {
  const mesh = { ...defaultMeshSettings, accessLogProviders: providers.logs ?? [], tracingProvider: providers.tracing }
  return scopeOf(snapshotOf(objects.join('\n---\n'), mesh), nodeOf('sidecar', { NAMESPACE: 'shop', LABELS: { app: 'web' } }))
}

function logs(one: Scope, mode: TelemetryMode = 'server'): string[] | undefined {
  return selectedLogs(one, mode)?.map(({ provider: name, filter }) => (filter === '' ? name : `${name} if ${filter}`))
}

test('without a word of Telemetries and of default providers nothing is selected', () => {
  const one = scope([telemetry('other', 'elsewhere', { accessLogging: [provider('a')] })])
  expect([logs(one), selectedTracing(one, 'client')]).toEqual([undefined, undefined])
})

test('default providers hold until a Telemetry names others, and the narrower one goes before the wider', () => {
  const mesh = telemetry('mesh', 'istio-system', { accessLogging: [provider('a')] })
  const namespace = telemetry('all', 'shop', { accessLogging: [provider('b', 'c')] })
  const own = telemetry('own', 'shop', { ...workload, accessLogging: [provider('d')] })
  const other = telemetry('other', 'shop', { selector: { matchLabels: { app: 'api' } }, accessLogging: [provider('e')] })
  const selections = [[], [mesh], [mesh, namespace], [mesh, namespace, own], [mesh, namespace, other]]
  expect(selections.map((objects) => logs(scope(objects, { logs: ['z'] })))).toEqual([
    ['z'],
    ['a'],
    ['b', 'c'],
    ['d'],
    ['b', 'c'],
  ])
})

test('a level without providers is of those above it: it turns them off, on again, or filters them', () => {
  const mesh = telemetry('mesh', 'istio-system', { accessLogging: [{ ...provider('a'), filter: { expression: 'x' } }] })
  const off = telemetry('all', 'shop', { accessLogging: [{ disabled: true }] })
  const on = telemetry('own', 'shop', { ...workload, accessLogging: [{ disabled: false }] })
  const filter = telemetry('own', 'shop', { ...workload, accessLogging: [{ filter: { expression: 'y' } }] })
  const selections = [[mesh], [mesh, off], [mesh, off, on], [mesh, filter], [off], [filter]]
  expect(selections.map((objects) => logs(scope(objects, { logs: ['z'] })))).toEqual([
    ['a if x'],
    [],
    ['a if x'],
    ['a if y'],
    [],
    ['z if y'],
  ])
})

test('what is for clients is not for servers', () => {
  const one = scope([
    telemetry('all', 'shop', {
      accessLogging: [
        { ...provider('a'), match: { mode: 'CLIENT' } },
        { ...provider('b'), match: { mode: 'SERVER' } },
        provider('c'),
      ],
      tracing: [{ ...provider('t'), match: { mode: 'CLIENT' } }],
    }),
  ])
  expect([logs(one, 'client'), logs(one, 'server')]).toEqual([
    ['a', 'c'],
    ['b', 'c'],
  ])
  expect([selectedTracing(one, 'client')?.provider, selectedTracing(one, 'server')?.provider]).toEqual(['t', undefined])
})

test('tracing is put together field by field, and tags are replaced as a whole', () => {
  const mesh = telemetry('mesh', 'istio-system', {
    tracing: [{ ...provider('a'), randomSamplingPercentage: 10, customTags: { x: { literal: { value: '1' } } } }],
  })
  const own = telemetry('own', 'shop', {
    ...workload,
    tracing: [{ enableIstioTags: false, useRequestIdForTraceSampling: false, customTags: { y: { header: { name: 'h' } } } }],
  })
  expect(selectedTracing(scope([mesh, own]), 'server')).toMatchObject({
    ...{ provider: 'a', sampling: 10, istioTags: false, samplesByRequestId: false, propagatesContext: true },
    customTags: { y: { type: { $case: 'header', value: { name: 'h' } } } },
  })
  const off = telemetry('own', 'shop', { ...workload, tracing: [{ disableSpanReporting: true }] })
  expect(selectedTracing(scope([mesh, off]), 'server')?.provider).toBeUndefined()
  expect(selectedTracing(scope([], { tracing: 'z' }), 'server')?.provider).toBe('z')
})

test('a target that a service leads to selects its workloads', () => {
  const service = `apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: web-1, namespace: shop }
spec: { address: 1.1.1.1, labels: { app: web } }`
  const targeted = (name: string) =>
    telemetry('own', 'shop', { targetRefs: [{ kind: 'Service', name }], accessLogging: [provider('a')] })
  const proxy = nodeOf('sidecar', { NAMESPACE: 'shop', LABELS: { app: 'web' } }, '1.1.1.1')
  const select = (name: string) => logs(scopeOf(snapshotOf(`${service}\n---\n${targeted(name)}`), proxy))
  expect([select('web'), select('api')]).toEqual([['a'], undefined])
})
