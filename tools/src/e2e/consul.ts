/** The scenario `consul`: Bookinfo registered in a real Consul, each program with our sidecar beside it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installConsul } from '../consul/install.ts'
import { ConsulServer } from '../consul/server.ts'
import { start } from '../processes.ts'
import { entriesChecks } from './consul/entries.ts'
import { reachChecks } from './consul/reach.ts'
import { type BookinfoInstance, bookinfoPort } from './on-platform/bookinfo.ts'
import { bookinfoChecks, type HealthPages, healthPages } from './on-platform/checks.ts'
import { MeshOnPlatform } from './on-platform/mesh.ts'
import type { Scenario } from './scenario.ts'

export async function consulScenario(scenario: Scenario): Promise<void> {
  const binary = installConsul()
  if (binary === undefined) return scenario.skip('Bookinfo on Consul', 'Consul is not on this machine and could not be built')
  await reachChecks(scenario, binary)
  const consul = await ConsulServer.start(binary)
  scenario.cleanup(() => consul.stop())
  const health = await healthPages(scenario)
  const tokenFile = join(consul.folder, 'reader.token')
  await writeFile(tokenFile, await consul.readerToken())
  await entriesChecks(scenario, consul, tokenFile)
  const registry = `consul=${consul.url}?token-file=${tokenFile}`
  const mesh = await MeshOnPlatform.start(scenario, { registry })
  for (const instance of mesh.instances) {
    const { name, command, env, serviceAccount } = instance
    const app = start(command, { env: { ...process.env, ...env } })
    scenario.cleanup(() => app.stop())
    await mesh.startProxy(name, mesh.sidecarBootstrap(instance, await mesh.joinToken(serviceAccount)))
    await register(consul, instance, health)
  }
  await bookinfoChecks(scenario, {
    ...{ name: 'Consul', mesh, health, registry },
    restart: () => consul.restart(),
    async remove(name) {
      await consul.call('PUT', `/v1/agent/service/deregister/${name}`)
    },
    async add(name) {
      const instance = mesh.instances.find((one) => one.name === name)
      if (instance !== undefined) await register(consul, instance, health)
    },
  })
}

/** As an operator registers a service whose sidecar takes its calls: where the sidecar is, and what the mesh has to know. */
async function register(consul: ConsulServer, instance: BookinfoInstance, health: HealthPages): Promise<void> {
  const { name, app, version, sidecarAddress, serviceAccount } = instance
  await consul.call('PUT', '/v1/agent/service/register', {
    ID: name,
    Name: app,
    Address: sidecarAddress,
    Port: bookinfoPort,
    Tags: [`version=${version}`],
    Meta: { protocol: 'http', 'service-account': serviceAccount, sidecar: 'true' },
    Check: { HTTP: `http://127.0.0.1:${health.port}/${name}`, Interval: '500ms', Timeout: '20s', Status: 'passing' },
  })
}
