import { hostname } from 'node:os'
import { parsePlatform } from '../registries/platform-spec.ts'
import type { RegistryContext } from '../registries/registry.ts'
import type { ConfigProvider } from './config-provider.ts'
import type { ProxyProgress } from './kubernetes/status-writer.ts'

/** A source that is followed, and how what became of its objects is told where they come from. */
export interface OpenedSource {
  provider: ConfigProvider
  /** Begins to write back; gives what ends it. */
  writeStatus(proxies: ProxyProgress, generation: () => number): { close(): Promise<void> }
}

/**
 * Opens one `--config-source`: `kubernetes[=?kubeconfig=FILE&context=NAME&namespaces=A,B]`. It begins to follow its platform,
 * which need not be there yet. Throws `invalid_argument` with what it should be.
 */
export async function openConfigSource(text: string, { mesh, logger }: RegistryContext): Promise<OpenedSource> {
  const spec = parsePlatform('--config-source', text, ['kubernetes'])
  const [{ openCluster }, { KubernetesConfig }, { StatusWriter }] = await Promise.all([
    import('../registries/kubernetes/open.ts'),
    import('./kubernetes/kubernetes-config.ts'),
    import('./kubernetes/status-writer.ts'),
  ])
  const { client, namespaces } = await openCluster(spec)
  const config = new KubernetesConfig({ client, namespaces, logger })
  return {
    provider: config,
    writeStatus: (proxies, generation) => {
      const identity = `${process.env['POD_NAME'] ?? hostname()}_${process.pid}`
      const namespace = process.env['POD_NAMESPACE'] ?? mesh.rootNamespace
      return new StatusWriter({ client, config, proxies, generation, namespace, identity, logger })
    },
  }
}
