import { findAccess } from '@weft/kubernetes/access'
import { KubernetesClient } from '@weft/kubernetes/client'
import { WeftError } from '@weft/service/errors'
import type { PlatformSpec } from '../platform-spec.ts'
import { readOptions } from '../read-options.ts'
import type { Registry, RegistryContext } from '../registry.ts'
import { KubernetesRegistry } from './kubernetes-registry.ts'

/** A cluster as a flag names it: `kubernetes[=?kubeconfig=FILE&context=NAME&namespaces=A,B]`, and further options. */
export interface Cluster<Option extends string> {
  client: KubernetesClient
  /** Empty: all. */
  namespaces: string[]
  options: Partial<Record<Option, string>>
}

/** Makes a client for a cluster, found by the kubeconfig, else by the pod's own service account. It need not be there yet. */
export async function openCluster<Option extends string = never>(
  spec: PlatformSpec,
  further: readonly Option[] = [],
): Promise<Cluster<Option>> {
  if (spec.url !== undefined) {
    throw new WeftError('invalid_argument', `${spec.flag} kubernetes takes no URL`, {
      hint: 'write kubernetes, or kubernetes=?kubeconfig=FILE',
    })
  }
  const options = readOptions(spec, ['kubeconfig', 'context', 'namespaces', ...further])
  const access = await findAccess({ kubeconfig: options.kubeconfig, context: options.context })
  const namespaces = (options.namespaces ?? '').split(',').filter((name) => name !== '')
  return { client: new KubernetesClient(access), namespaces, options }
}

/** Opens the registry of `--registry kubernetes`; `label-selector` is of Services and their slices. */
export async function openKubernetes(spec: PlatformSpec, context: RegistryContext): Promise<Registry> {
  const { client, namespaces, options } = await openCluster(spec, ['label-selector'])
  return new KubernetesRegistry({ ...context, client, namespaces, labelSelector: options['label-selector'] })
}
