import fc from 'fast-check'
import { expect, test } from 'vitest'
import { serviceKey } from '../model/service.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { snapshotsOf } from '../testing/snapshot-of.ts'
import { instancesOf } from './instances.ts'

const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3']
/** A mesh: each service's endpoints, by indexes of addresses; and WorkloadEntries beside them. */
const mesh = fc.record({
  services: fc.array(fc.record({ port: fc.constantFrom(80, 81), endpoints: fc.subarray([0, 1, 2]) }), { maxLength: 4 }),
  entries: fc.subarray([0, 1, 2]),
})

function yamlOf({ services, entries }: { services: { port: number; endpoints: number[] }[]; entries: number[] }): string {
  const documents = services.map(
    ({ port, endpoints }, index) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: s${index} }
spec:
  hosts: [s${index}.example]
  ports: [{ number: ${port}, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [${endpoints.map((at) => `{ address: ${addresses[at]} }`).join()}]
`,
  )
  documents.push(
    'apiVersion: v1\nkind: Service\nmetadata: { name: selected }\nspec: { selector: { app: a }, ports: [{ name: http, port: 90 }] }\n',
    ...entries.map(
      (at) =>
        `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: w${at} }\nspec: { address: ${addresses[at]}, labels: { app: a } }\n`,
    ),
  )
  return documents.join('---\n')
}

/** What an index that is made anew would have. */
function plainly(snapshot: Snapshot, address: string): string[] {
  return snapshot.services
    .flatMap((service) =>
      [...(snapshot.endpoints.get(serviceKey(service.namespace, service.host))?.byPort.values() ?? [])]
        .flat()
        .map((endpoint) => ({
          service,
          endpoint,
        })),
    )
    .filter(({ endpoint }) => endpoint.address === address)
    .sort((a, b) => a.endpoint.port - b.endpoint.port)
    .map(({ service, endpoint }) => `${service.host}:${endpoint.port}`)
}

test('instances and workloads by address are the same, whether made anew or worked out from the snapshot before', () => {
  fc.assert(
    fc.property(fc.array(mesh, { minLength: 1, maxLength: 8 }), (generations) => {
      const { snapshots, set } = snapshotsOf('')
      for (const generation of generations) {
        set(yamlOf(generation))
        const snapshot = snapshots.current
        const fresh = snapshotsOf(yamlOf(generation)).snapshots.current
        for (const address of addresses) {
          const found = instancesOf(snapshot, { ips: [address], namespace: 'default' })
          expect(found.map(({ service, endpoint }) => `${service.host}:${endpoint.port}`)).toEqual(plainly(snapshot, address))
          for (const { service, endpoint } of found) {
            expect(snapshot.services).toContain(service)
            expect(endpoint.workload.address).toBe(address)
          }
          const keys = (of: Snapshot) =>
            of.workloads.byAddress
              .get(address)
              .map(({ key }) => key)
              .sort()
          expect(keys(snapshot)).toEqual(keys(fresh))
        }
      }
    }),
    { seed: 11, numRuns: 60 },
  )
})
