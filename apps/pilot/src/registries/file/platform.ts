import { mkdir, mkdtemp, open, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConfigObject } from '@weft/config/objects'
import type { LoadedConfig } from '@weft/config/watch/loaded'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import { ConfigSource } from '../../sources/config-source.ts'
import type { Platform, PlatformInstance, PlatformService } from '../conformance/platform.ts'
import type { Registry } from '../registry.ts'
import { FileRegistry } from './file-registry.ts'

/** For tests: a folder of YAML as a platform of the conformance suite. */
export async function filePlatform(): Promise<Platform> {
  const root = await mkdtemp(join(tmpdir(), 'weft-file-registry-'))
  const folder = join(root, 'config')
  await mkdir(folder)
  const written = new Map<string, string>()
  const noNetwork = 'files are not spoken to over a network'
  return {
    name: 'file',
    lacks: { network: noNetwork, restart: noNetwork, credentials: noNetwork, history: noNetwork },
    target: undefined,
    pilotFlags: ['--config-dir', folder],
    async set(services) {
      const wanted = filesOf(services)
      for (const [name, text] of wanted) {
        if (written.get(name) === text) continue
        await writeFile(join(root, 'next'), text)
        await rename(join(root, 'next'), join(folder, name))
        written.set(name, text)
      }
      for (const name of written.keys()) {
        if (wanted.has(name)) continue
        await unlink(join(folder, name))
        written.delete(name)
      }
    },
    open: () => openFolder(folder),
    async writeHalf(services) {
      const [name, text] = [...filesOf(services)].find(([file, content]) => written.get(file) !== content) ?? []
      if (name === undefined || text === undefined) throw new Error('nothing would change')
      written.set(name, text)
      const file = await open(join(folder, name), 'w')
      await file.write(text.slice(0, text.length / 2))
      return async () => {
        await file.write(text.slice(text.length / 2))
        await file.close()
      }
    },
    close: () => rm(root, { recursive: true, force: true }),
  }
}

async function openFolder(folder: string): Promise<Registry> {
  const registry = new FileRegistry(defaultMeshSettings)
  const source = await ConfigSource.open({
    folders: [folder],
    onChange: (config) => registry.update(objectsIn(config)),
    onError: (error) => {
      throw error
    },
  })
  return {
    name: registry.name,
    get contents() {
      return registry.contents
    },
    state: registry.state,
    subscribe: (listener) => registry.subscribe(listener),
    close: async () => {
      await source.close()
      await registry.close()
    },
  }
}

function objectsIn(config: LoadedConfig): Map<string, ConfigObject> {
  const objects = new Map<string, ConfigObject>()
  for (const [key, loaded] of config.objects) if (loaded.type === 'object') objects.set(key, loaded.object)
  return objects
}

/** A file for each service: a Service with its selector, and a WorkloadEntry for each instance. */
function filesOf(services: readonly PlatformService[]): Map<string, string> {
  const files = new Map<string, string>()
  for (const { name, namespace = 'default', ports, instances } of services) {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: {
        selector: { service: name },
        ports: ports.map((port) => ({ name: port.name, port: port.number, appProtocol: port.protocol })),
      },
    }
    const objects = [service, ...instances.map((instance) => entryOf(name, namespace, instance))]
    files.set(`${namespace}-${name}.yaml`, objects.map((object) => JSON.stringify(object)).join('\n---\n'))
  }
  return files
}

function entryOf(service: string, namespace: string, instance: PlatformInstance): object {
  const { address, ports, labels, locality, network, weight, serviceAccount, sidecar, healthy } = instance
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name: `${service}-${instance.name}`, namespace },
    spec: {
      address,
      ports,
      labels: { ...labels, service, 'security.istio.io/tlsMode': sidecar ? 'istio' : 'disabled' },
      ...(locality === undefined ? {} : { locality: `${locality.region}/${locality.zone}` }),
      ...(network === undefined ? {} : { network }),
      ...(weight === undefined ? {} : { weight }),
      ...(serviceAccount === undefined ? {} : { serviceAccount }),
    },
    ...(healthy === false ? { status: { conditions: [{ type: 'Healthy', status: 'False' }] } } : {}),
  }
}
