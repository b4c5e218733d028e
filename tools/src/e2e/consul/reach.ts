import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readDocuments } from '@weft/config/document'
import type { ConfigObject } from '@weft/config/objects'
import { readObject } from '@weft/config/read-object'
import { defaultMeshSettings } from '@weft/pilot/model/mesh-settings'
import { Snapshots } from '@weft/pilot/model/snapshots'
import type { Workload } from '@weft/pilot/model/workload'
import { FileRegistry } from '@weft/pilot/registries/file/file-registry'
import { openRegistry, parseRegistry } from '@weft/pilot/registries/open'
import type { Registry } from '@weft/pilot/registries/registry'
import { createLogger } from '@weft/service/logger'
import { makeCertificates } from '../../certificates.ts'
import { ConsulServer } from '../../consul/server.ts'
import { until } from '../../processes.ts'
import { expect, type Scenario } from '../scenario.ts'

const patienceMs = 60_000

/** How Consul is reached, and what of it only a real one shows: TLS, datacenters, registered sidecars, other registries beside it. */
export async function reachChecks(scenario: Scenario, binary: string): Promise<void> {
  scenario.section('Consul over TLS, in two datacenters, and beside files')
  const folder = await mkdtemp(join(tmpdir(), 'weft-consul-reach-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const certificates = makeCertificates(folder)
  const east = await ConsulServer.start(binary, { datacenter: 'east', tls: certificates })
  scenario.cleanup(() => east.stop())
  const tokenFile = join(folder, 'token')
  await writeFile(tokenFile, await east.readerToken())

  const open = async (url: string, options: Record<string, string> = {}): Promise<Registry> => {
    const spec = parseRegistry(`consul=${url}?${new URLSearchParams({ 'token-file': tokenFile, ...options })}`)
    const registry = await openRegistry(spec, { mesh: defaultMeshSettings, logger: createLogger('pilot', 'silent') })
    scenario.cleanup(() => registry.close())
    return registry
  }
  const synced = (registry: Registry): Promise<void> =>
    until(() => registry.state.synced, 'its first answer', undefined, patienceMs).catch((error) => {
      throw new Error(`${String(error)}: ${registry.state.problem}`)
    })

  await registerInstance(east, { Name: 'db', ID: 'db-1', Address: '10.1.0.1', Port: 5432 })
  const tlsUrl = `https://localhost:${east.tlsPort}`
  await scenario.attempt('its API over TLS is followed with a client certificate of the authority that it asks for', async () => {
    const { cert, key } = certificates.client
    const registry = await open(tlsUrl, { 'ca-file': certificates.ca, 'cert-file': cert, 'key-file': key })
    await synced(registry)
    expect(addressesOf(registry, 'db').join() === '10.1.0.1', `db is at ${addressesOf(registry, 'db')}`)
    await registerInstance(east, { Name: 'db', ID: 'db-2', Address: '10.1.0.2', Port: 5432 })
    await until(() => addressesOf(registry, 'db').length === 2, 'a second endpoint', undefined, patienceMs)
    return undefined
  })
  await scenario.attempt(
    'without one, and by another authority, it says what is wrong; with files put right it goes on',
    async () => {
      const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => join(folder, `used-${name}`)) as [string, string, string]
      await copyFile(certificates.stranger.cert, ca)
      await copyFile(certificates.stranger.cert, cert)
      await copyFile(certificates.stranger.key, key)
      const registry = await open(tlsUrl, { 'ca-file': ca, 'cert-file': cert, 'key-file': key })
      await until(() => registry.state.problem !== undefined, 'a problem', undefined, patienceMs)
      const unknown = registry.state.problem ?? ''
      expect(unknown.includes('certificate'), unknown)
      await copyFile(certificates.ca, ca)
      const refused = (): boolean => registry.state.problem !== undefined && registry.state.problem !== unknown
      await until(refused, 'Consul to refuse the certificate', undefined, patienceMs)
      const { problem } = registry.state
      await copyFile(certificates.client.cert, cert)
      await copyFile(certificates.client.key, key)
      await synced(registry)
      return problem
    },
  )

  const west = await ConsulServer.start(binary, {
    ...{ datacenter: 'west' },
    joins: { wanPort: east.wanPort, manager: east.manager, datacenter: 'east' },
  })
  scenario.cleanup(() => west.stop())
  await registerInstance(west, { Name: 'db', ID: 'db-1', Address: '10.2.0.1', Port: 5432 })
  await registerInstance(west, { Name: 'only-west', ID: 'only-west', Address: '10.2.0.9', Port: 80 })
  await scenario.attempt(
    "another datacenter's services are those of dc=, through the server of the first; a service of both is one",
    async () => {
      const [first, second] = [await open(east.url), await open(east.url, { dc: 'west' })]
      await Promise.all([synced(first), synced(second)])
      expect(addressesOf(first, 'only-west').length === 0, 'the first datacenter has what is in the second')
      expect(addressesOf(second, 'only-west').length === 1, 'the second datacenter lacks its service')
      const found = modelOf([first, second], 'db')
      expect(found.join() === '10.1.0.1 east,10.1.0.2 east,10.2.0.1 west', `the endpoints of db are ${found.join(', ')}`)
      await registerInstance(west, { Name: 'db', ID: 'db-2', Address: '10.2.0.2', Port: 5432 })
      await until(() => modelOf([first, second], 'db').length === 4, 'a fourth endpoint', undefined, patienceMs)
      return found.join(', ')
    },
  )

  const registry = await open(east.url)
  await scenario.attempt(
    'an instance with a registered connect-proxy is reached there, over mutual TLS, and no longer when that goes',
    async () => {
      await synced(registry)
      await registerInstance(east, { Name: 'web', ID: 'web-1', Address: '10.1.1.1', Port: 8080, Meta: { protocol: 'http' } })
      await registerInstance(east, {
        ...{ Name: 'web-sidecar', ID: 'web-1-sidecar', Address: '10.1.1.1', Port: 21000, Kind: 'connect-proxy' },
        Proxy: { DestinationServiceName: 'web', DestinationServiceID: 'web-1', LocalServicePort: 8080 },
      })
      const state = (): string => {
        const [instance] = workloadsOf(registry, 'web')
        return `${instance?.address} ${Object.values(instance?.ports ?? {})} ${instance?.tlsMode}`
      }
      await until(() => state() === '10.1.1.1 21000 istio', 'the sidecar', undefined, patienceMs).catch(() =>
        expect(false, state()),
      )
      expect(workloadsOf(registry, 'web-sidecar').length === 0, 'the sidecar is a service of its own')
      await east.call('PUT', '/v1/agent/service/deregister/web-1-sidecar')
      await until(() => state() === '10.1.1.1 8080 disabled', 'it to be gone', undefined, patienceMs).catch(() =>
        expect(false, state()),
      )
      return undefined
    },
  )

  await scenario.attempt(
    'a service in Consul and in files has the endpoints of both, each with its own locality and network',
    async () => {
      await registerInstance(east, {
        Name: 'shop',
        ID: 'shop-1',
        Address: '10.1.2.1',
        Port: 8080,
        Meta: { network: 'net-consul', locality: 'east/rack-1' },
      })
      await until(() => addressesOf(registry, 'shop').length === 1, 'shop', undefined, patienceMs)
      const files = new FileRegistry(defaultMeshSettings)
      files.update(objectsOf(shopInFiles))
      for (const order of [
        [files, registry],
        [registry, files],
      ]) {
        const found = modelOf(order, 'shop')
        expect(
          found.join() === '10.1.2.1 east/rack-1 net-consul,10.9.0.1 far/a net-files',
          `the endpoints of shop are ${found.join(', ')}`,
        )
      }
      await east.call('PUT', '/v1/agent/service/deregister/shop-1')
      await until(() => addressesOf(registry, 'shop').length === 0, 'shop to go', undefined, patienceMs)
      expect(modelOf([files, registry], 'shop').length === 1, 'what files say went with it')
      return undefined
    },
  )
}

const shopInFiles = `
apiVersion: v1
kind: Service
metadata: { name: shop }
spec: { selector: { app: shop }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: shop-far }
spec: { address: 10.9.0.1, labels: { app: shop }, locality: far/a, network: net-files }
`

function registerInstance(consul: ConsulServer, service: Record<string, unknown>): Promise<unknown> {
  return consul.call('PUT', '/v1/agent/service/register', service)
}

function workloadsOf({ contents }: Registry, name: string): readonly Workload[] {
  return contents.services.find(({ service }) => service.name === name)?.workloads ?? []
}

function addressesOf(registry: Registry, name: string): string[] {
  return workloadsOf(registry, name)
    .map(({ address }) => address)
    .sort()
}

/** A service's endpoints in Pilot's model of these registries: address, locality and network. */
function modelOf(registries: readonly Registry[], name: string): string[] {
  const { endpoints } = new Snapshots(defaultMeshSettings, registries).rebuild()
  const set = endpoints.get(`default/${name}.default.svc.${defaultMeshSettings.domain}`)
  return [...(set?.byPort.values() ?? [])]
    .flat()
    .map(({ address, workload: { locality, network } }) =>
      [address, [locality.region, locality.zone].filter(Boolean).join('/'), network].filter(Boolean).join(' '),
    )
    .sort()
}

function objectsOf(yaml: string): Map<string, ConfigObject> {
  const objects = new Map<string, ConfigObject>()
  for (const document of readDocuments(yaml, 'shop.yaml').documents) {
    const reading = readObject(document)
    if (reading.type === 'object') objects.set(reading.key, reading.object)
  }
  return objects
}
