import { hostname } from 'node:os'
import type { Logger } from '@weft/service/logger'
import { type PlatformSpec, parsePlatform } from '../registries/platform-spec.ts'
import type { RegistryContext } from '../registries/registry.ts'
import type { ConfigProvider } from './config-provider.ts'
import type { ProxyProgress } from './kubernetes/status-writer.ts'
import type { StoredObject } from './kubernetes/stored-object.ts'

/** A source that is followed, and how what became of its objects is told where they come from. */
export interface OpenedSource {
  provider: ConfigProvider
  /** Begins to write back; gives what ends it. */
  writeStatus(proxies: ProxyProgress, generation: () => number): { close(): Promise<void> }
}

/**
 * Opens one `--config-source`: `kubernetes[=?kubeconfig=FILE&context=NAME&namespaces=A,B]` or
 * `consul=URL?prefix=weft/config/` with the options of a Consul client. It begins to follow its platform,
 * which need not be there yet. Throws `invalid_argument` with what it should be.
 */
export async function openConfigSource(
  text: string,
  { mesh, logger, revision }: RegistryContext & { revision: string },
): Promise<OpenedSource> {
  const spec = parsePlatform('--config-source', text, ['kubernetes', 'consul'])
  if (spec.platform === 'consul') return await openConsulConfig(spec, logger)
  const [{ openCluster }, { KubernetesConfig }, { StatusWriter }] = await Promise.all([
    import('../registries/kubernetes/open.ts'),
    import('./kubernetes/kubernetes-config.ts'),
    import('./kubernetes/status-writer.ts'),
  ])
  const { client, namespaces } = await openCluster(spec)
  const config = new KubernetesConfig({ client, namespaces, discoverySelectors: mesh.discoverySelectors, revision, logger })
  return {
    provider: config,
    writeStatus: (proxies, generation) => {
      const identity = `${process.env['POD_NAME'] ?? hostname()}_${process.pid}`
      const namespace = process.env['POD_NAMESPACE'] ?? mesh.rootNamespace
      const common = { client, config, proxies, generation, namespace, identity, logger }
      const isOurs = ({ revision: named }: StoredObject): boolean => named === revision
      // What is for one control plane alone is written by that one, whoever writes the rest.
      const writers =
        revision === 'default'
          ? [new StatusWriter({ ...common, leaseName })]
          : [
              new StatusWriter({ ...common, leaseName, writes: (stored) => !isOurs(stored) }),
              new StatusWriter({ ...common, leaseName: `${leaseName}-${revision}`, writes: isOurs }),
            ]
      return { close: async () => void (await Promise.all(writers.map((writer) => writer.close()))) }
    },
  }
}

const leaseName = 'weft-pilot-status'

async function openConsulConfig(spec: PlatformSpec, logger: Logger): Promise<OpenedSource> {
  const [{ consulClient, readConsulOptions }, { ConsulConfig }] = await Promise.all([
    import('../registries/consul/client.ts'),
    import('./consul/consul-config.ts'),
  ])
  const { prefix = 'weft/config/', ...given } = readConsulOptions(spec, ['prefix'])
  const config = new ConsulConfig({ ...consulClient(spec, given, 2), prefix, logger })
  // Keys have no status: what is wrong with them stands in Pilot's own.
  return { provider: config, writeStatus: () => ({ close: async () => undefined }) }
}
