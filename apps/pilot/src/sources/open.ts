import { hostname } from 'node:os'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import type { CredentialSource } from '../credentials/credential.ts'
import { type PlatformSpec, parsePlatform } from '../registries/platform-spec.ts'
import type { RegistryContext } from '../registries/registry.ts'
import type { ConfigProvider } from './config-provider.ts'
import type { ProxyProgress } from './kubernetes/status-writer.ts'
import type { StoredObject } from './kubernetes/stored-object.ts'

/** A source that is followed, and how what became of its objects is told where they come from. */
export interface OpenedSource {
  provider: ConfigProvider
  /** Credentials that the platform keeps, where it keeps any. */
  credentials?: CredentialSource
  /** Begins to write back; gives what ends it. */
  writeStatus(proxies: ProxyProgress, generation: () => number): { close(): Promise<void> }
}

/**
 * Opens one `--config-source`: `kubernetes[=?kubeconfig=FILE&context=NAME&namespaces=A,B]` or
 * `consul=URL?prefix=weft/config/` or `consul=URL?entries=true` with the options of a Consul client. It begins to follow its platform,
 * which need not be there yet. Throws `invalid_argument` with what it should be.
 */
export async function openConfigSource(
  text: string,
  { mesh, logger, revision }: RegistryContext & { revision: string },
): Promise<OpenedSource> {
  const spec = parsePlatform('--config-source', text, ['kubernetes', 'consul'])
  if (spec.platform === 'consul') return await openConsulConfig(spec, logger)
  const [{ openCluster }, { KubernetesConfig }, { StatusWriter }, { IngressStatus }, { KubernetesCredentials }] =
    await Promise.all([
      import('../registries/kubernetes/open.ts'),
      import('./kubernetes/kubernetes-config.ts'),
      import('./kubernetes/status-writer.ts'),
      import('./kubernetes/ingress-status.ts'),
      import('../credentials/kubernetes-credentials.ts'),
    ])
  const { client, namespaces } = await openCluster(spec)
  const { discoverySelectors, ingress: settings } = mesh
  const followsIngresses = settings.mode !== 'OFF'
  const config = new KubernetesConfig({ client, namespaces, discoverySelectors, followsIngresses, revision, logger })
  return {
    provider: config,
    credentials: new KubernetesCredentials({ client, namespaces, logger }),
    writeStatus: (proxies, generation) => {
      const identity = `${process.env['POD_NAME'] ?? hostname()}_${process.pid}`
      const namespace = process.env['POD_NAMESPACE'] ?? mesh.rootNamespace
      const ingress = new IngressStatus({ client, config, settings, namespace: mesh.rootNamespace, logger })
      const common = { client, config, ingress, proxies, generation, namespace, identity, logger }
      const isOurs = ({ revision: named }: StoredObject): boolean => named === revision
      // What is for one control plane alone is written by that one, whoever writes the rest.
      const writers =
        revision === 'default'
          ? [new StatusWriter({ ...common, leaseName })]
          : [
              new StatusWriter({ ...common, leaseName, writes: (stored) => !isOurs(stored) }),
              new StatusWriter({ ...common, leaseName: `${leaseName}-${revision}`, writes: isOurs }),
            ]
      return { close: async () => void (await Promise.all([...writers, ingress].map((one) => one.close()))) }
    },
  }
}

const leaseName = 'weft-pilot-status'

async function openConsulConfig(spec: PlatformSpec, logger: Logger): Promise<OpenedSource> {
  const { consulClient, readConsulOptions } = await import('../registries/consul/client.ts')
  const { prefix, entries, ...given } = readConsulOptions(spec, ['prefix', 'entries'])
  // Neither keys nor config entries have a status: what is wrong with them stands in Pilot's own.
  const writeStatus = (): { close(): Promise<void> } => ({ close: async () => undefined })
  if (entries === undefined || entries === 'false') {
    const { ConsulConfig } = await import('./consul/consul-config.ts')
    const config = new ConsulConfig({ ...consulClient(spec, given, 2), prefix: prefix ?? 'weft/config/', logger })
    return { provider: config, writeStatus }
  }
  if (entries !== 'true' || prefix !== undefined) {
    throw new WeftError('invalid_argument', '--config-source consul: entries is true or false, and goes without a prefix', {
      hint: 'give --config-source twice for keys and config entries',
    })
  }
  const { ConsulEntries } = await import('./consul/consul-entries.ts')
  return { provider: new ConsulEntries({ ...consulClient(spec, given, 6), logger }), writeStatus }
}
