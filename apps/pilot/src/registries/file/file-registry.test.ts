import { describe, expect, test } from 'vitest'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import { objectsOf } from '../../testing/snapshot-of.ts'
import { registryConformance } from '../conformance/in-vitest.ts'
import { FileRegistry } from './file-registry.ts'
import { filePlatform } from './platform.ts'

describe('the file registry', () => {
  registryConformance(filePlatform)

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
