import { findAccess } from '@weft/kubernetes/access'
import { KubernetesClient } from '@weft/kubernetes/client'
import { WeftError } from '@weft/service/errors'
import type { RegistrySpec } from '../open.ts'
import type { Registry, RegistryContext } from '../registry.ts'
import { KubernetesRegistry } from './kubernetes-registry.ts'

const known = new Set(['kubeconfig', 'context', 'namespaces', 'label-selector'])

/**
 * Opens the registry of `--registry kubernetes[=?kubeconfig=FILE&context=NAME&namespaces=A,B&label-selector=KEY=VALUE]`. The API
 * server is found by the kubeconfig, else by the pod's own service account.
 */
export async function openKubernetes({ url, options }: RegistrySpec, context: RegistryContext): Promise<Registry> {
  const unknown = [...options.keys()].find((name) => !known.has(name))
  if (url !== undefined || unknown !== undefined) {
    throw new WeftError(
      'invalid_argument',
      `--registry kubernetes takes no ${unknown === undefined ? 'URL' : `option ${unknown}`}`,
      {
        hint: `write kubernetes, or kubernetes=?kubeconfig=FILE; there are ${[...known].join(', ')}`,
      },
    )
  }
  const access = await findAccess({ kubeconfig: options.get('kubeconfig'), context: options.get('context') })
  return new KubernetesRegistry({
    ...context,
    client: new KubernetesClient(access),
    namespaces: (options.get('namespaces') ?? '').split(',').filter((name) => name !== ''),
    labelSelector: options.get('label-selector'),
  })
}
