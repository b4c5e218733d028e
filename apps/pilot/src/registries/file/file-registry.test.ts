import { describe, expect, test } from 'vitest'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import { objectsOf } from '../../testing/snapshot-of.ts'
import { type Platform, type PlatformService, registryConformance } from '../conformance.ts'
import { FileRegistry } from './file-registry.ts'

function yamlOf({ name, port, instances }: PlatformService): string {
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ name: port.name, port: port.number }] },
  }
  const entries = instances.map((instance) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name: instance.name },
    spec: { address: instance.address, ports: { [port.name]: instance.port }, labels: instance.labels },
  }))
  return [service, ...entries].map((object) => JSON.stringify(object)).join('\n---\n')
}

/** Files as a platform: the registry is given the objects in force. */
async function files(): Promise<Platform> {
  const registry = new FileRegistry(defaultMeshSettings)
  return {
    set: async (services) => registry.update(objectsOf(services.map(yamlOf).join('\n---\n'))),
    open: async () => registry,
    outage: undefined,
    close: async () => undefined,
  }
}

describe('the file registry', () => {
  registryConformance(files)

  test('takes a Workload that has an address of its own, and none that is still to be started', () => {
    const registry = new FileRegistry(defaultMeshSettings)
    const workload = (name: string, extra: string): string => `
apiVersion: mesh.weft.dev/v1
kind: Workload
metadata: { name: ${name}, labels: { app: x } }
spec: { command: node, ports: [{ name: http, number: 8080 }], serviceAccount: sa${extra} }
`
    registry.update(objectsOf(`${workload('running', ', address: 10.0.0.9')}---${workload('to-start', '')}`))
    expect(registry.contents.workloads).toMatchObject([
      { key: 'default/running', address: '10.0.0.9', ports: { http: 8080 }, identity: 'spiffe://cluster.local/ns/default/sa/sa' },
    ])
  })

  test('a workload whose status says Healthy: False is unhealthy', () => {
    const registry = new FileRegistry(defaultMeshSettings)
    const entry = 'apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: a }\nspec: { address: 10.0.0.1 }\n'
    registry.update(objectsOf(`${entry}status: { conditions: [{ type: Healthy, status: "False" }] }\n`))
    expect(registry.contents.workloads[0]?.health).toBe('unhealthy')
    registry.update(objectsOf(entry))
    expect(registry.contents.workloads[0]?.health).toBe('healthy')
  })
})
