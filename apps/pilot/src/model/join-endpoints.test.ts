import { expect, test } from 'vitest'
import { assembleService } from '../registries/assemble-service.ts'
import type { InstanceFacts } from '../registries/instance-facts.ts'
import { joinEndpoints } from './join-endpoints.ts'
import { defaultMeshSettings } from './mesh-settings.ts'

function known(origin: string, portName: string, ...places: [string, number, string?][]) {
  const instances = places.map(
    ([address, port, region = '']): InstanceFacts => ({
      ...{ id: `${origin}-${address}`, namespace: 'default', address, labels: {}, weight: 0, health: 'healthy' },
      ports: [{ name: portName, servicePort: 80, port, protocol: undefined }],
      ...{ locality: { region, zone: '', subZone: '' }, network: origin, serviceAccount: '', sidecar: false, origin },
    }),
  )
  return assembleService(instances, { name: 'reviews', namespace: 'default', origin, mesh: defaultMeshSettings }, undefined)
}

function places(...registered: ReturnType<typeof known>[]) {
  const sets = joinEndpoints(registered, [], new Map(), 1)
  return sets.get('default/reviews.default.svc.cluster.local')?.byPort.get(80) ?? []
}

test('a service that two registries know has the endpoints of both, each with its own port, locality and network', () => {
  const found = places(known('consul', 'http', ['10.0.0.1', 8080, 'eu']), known('nomad', 'web', ['10.0.0.2', 21000, 'us']))
  expect(found.map(({ address, port, workload }) => [address, port, workload.locality.region, workload.network])).toEqual([
    ['10.0.0.1', 8080, 'eu', 'consul'],
    ['10.0.0.2', 21000, 'us', 'nomad'],
  ])
})

test('an instance that two registries know is there once, as the first one has it', () => {
  const found = places(
    known('consul', 'http', ['10.0.0.1', 8080]),
    known('nomad', 'http', ['10.0.0.1', 8080], ['10.0.0.1', 8081]),
  )
  expect(found.map(({ port, workload }) => [port, workload.network])).toEqual([
    [8080, 'consul'],
    [8081, 'nomad'],
  ])
})

test('a set made of the same parts is the very set', () => {
  const parts = [known('consul', 'http', ['10.0.0.1', 8080]), known('nomad', 'http', ['10.0.0.2', 8080])]
  const before = joinEndpoints(parts, [], new Map(), 1)
  const key = 'default/reviews.default.svc.cluster.local'
  expect(joinEndpoints(parts, [], before, 2).get(key)).toBe(before.get(key))
  expect(joinEndpoints(parts.slice(0, 1), [], before, 2).get(key)).not.toBe(before.get(key))
})
