import { readFileSync } from 'node:fs'
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { expect, test } from 'vitest'
import { lazyRegistry } from './lazy-registry.ts'

const bytes = readFileSync(new URL('../gen/descriptors.binpb', import.meta.url))
const whole = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes))

test('finds every type by its name, and what it does not have not', () => {
  const lazy = lazyRegistry(bytes)
  const missing = [...whole].filter(({ kind, typeName }) => lazy.get(typeName)?.kind !== kind)
  expect(missing.map(({ typeName }) => typeName)).toEqual([])
  expect([...lazyRegistry(bytes)].map(({ typeName }) => typeName).sort()).toEqual(
    [...whole].map(({ typeName }) => typeName).sort(),
  )
  for (const name of ['', 'envoy', 'envoy.config.cluster.v3.Cluster.Nothing', '.envoy.config.cluster.v3.Cluster'])
    expect(lazy.get(name)).toBeUndefined()
})

test('gives each kind of type by its own question', () => {
  const lazy = lazyRegistry(bytes)
  expect(lazy.getMessage('envoy.config.cluster.v3.Cluster.EdsClusterConfig')?.fields.map(({ name }) => name)).toContain(
    'service_name',
  )
  expect(lazy.getEnum('envoy.config.cluster.v3.Cluster.LbPolicy')?.values.length).toBeGreaterThan(3)
  expect(lazy.getService('envoy.service.discovery.v3.AggregatedDiscoveryService')?.methods.length).toBe(2)
  expect(lazy.getMessage('envoy.config.cluster.v3.Cluster.LbPolicy')).toBeUndefined()
})

test('finds extensions by name and by what they extend', () => {
  const byName = lazyRegistry(bytes).getExtension('validate.rules')
  const lazy = lazyRegistry(bytes)
  const options = lazy.getMessage('google.protobuf.FieldOptions')
  if (byName === undefined || options === undefined) throw new Error('not found')
  expect(lazy.getExtensionFor(options, byName.number)?.typeName).toBe('validate.rules')
  expect(lazy.getExtensionFor(options, 1)).toBeUndefined()
})

test('a type is the same object from wherever it is reached', () => {
  const lazy = lazyRegistry(bytes)
  const cluster = lazy.getMessage('envoy.config.cluster.v3.Cluster')
  const field = lazy.getMessage('envoy.config.bootstrap.v3.Bootstrap.StaticResources')?.field['clusters']
  expect(cluster).toBeDefined()
  expect(field?.message).toBe(cluster)
})
