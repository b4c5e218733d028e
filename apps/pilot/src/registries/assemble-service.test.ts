import { expect, test } from 'vitest'
import { defaultMeshSettings } from '../model/mesh-settings.ts'
import { assembleService } from './assemble-service.ts'
import type { InstanceFacts, InstancePort } from './instance-facts.ts'

const options = { name: 'reviews', namespace: 'default', origin: 'test', mesh: defaultMeshSettings }

function instance(id: string, ports: (Partial<InstancePort> & { port: number })[]): InstanceFacts {
  return {
    ...{ id, namespace: 'default', address: `10.0.0.${id}`, labels: {}, weight: 0, health: 'healthy' },
    ...{ network: '', serviceAccount: '', sidecar: false, origin: 'test', locality: { region: '', zone: '', subZone: '' } },
    ports: ports.map((port) => ({ name: '', servicePort: undefined, protocol: undefined, ...port })),
  }
}

/** The service's ports, and where each instance has them. */
function portsOf(instances: InstanceFacts[], more: { isDynamic?: (port: number) => boolean } = {}) {
  const { service, workloads } = assembleService(instances, { ...options, ...more }, undefined)
  return { ports: service.ports.map(({ name, number }) => `${name}:${number}`), at: workloads.map(({ ports }) => ports) }
}

test('the port that all instances listen on is the service’s, where none is said', () => {
  expect(portsOf([instance('1', [{ port: 9080 }]), instance('2', [{ port: 9080 }])])).toEqual({
    ports: [':9080'],
    at: [{ '': 9080 }, { '': 9080 }],
  })
})

test('where they differ, or the platform chose it, it is 80', () => {
  const differing = [instance('1', [{ port: 9080, protocol: 'http' }]), instance('2', [{ port: 9081, protocol: 'http' }])]
  expect(portsOf(differing)).toEqual({ ports: ['http:80'], at: [{ http: 9080 }, { http: 9081 }] })
  expect(portsOf([instance('1', [{ port: 21_000 }])], { isDynamic: (port) => port >= 20_000 }).ports).toEqual([':80'])
})

test('ports of one name are told apart', () => {
  const two = [
    { name: 'http', servicePort: 80, port: 8080 },
    { name: 'http', servicePort: 81, port: 8081 },
  ]
  expect(portsOf([instance('1', two)])).toEqual({ ports: ['http:80', 'http-81:81'], at: [{ http: 8080, 'http-81': 8081 }] })
})

test('a service that lost its last instance keeps its ports', () => {
  const before = assembleService([instance('1', [{ port: 9080 }])], options, undefined)
  const after = assembleService([], options, before)
  expect(after.service).toBe(before.service)
  expect(after.workloads).toEqual([])
})

test('what says the same is the very object', () => {
  const before = assembleService([instance('1', [{ port: 1 }]), instance('2', [{ port: 1 }])], options, undefined)
  expect(assembleService([instance('2', [{ port: 1 }]), instance('1', [{ port: 1 }])], options, before)).toBe(before)
  const moved = assembleService([instance('1', [{ port: 1 }]), { ...instance('2', [{ port: 1 }]), weight: 2 }], options, before)
  expect(moved.service).toBe(before.service)
  expect(moved.workloads[0]).toBe(before.workloads[0])
  expect(moved.workloads[1]).not.toBe(before.workloads[1])
})
