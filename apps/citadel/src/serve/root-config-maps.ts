import type { KubernetesClient } from '@weft/kubernetes/client'
import { ListWatch } from '@weft/kubernetes/list-watch'
import { resourcePath } from '@weft/kubernetes/resource'
import { WeftError } from '@weft/service/errors'
import type { Lifecycle } from '@weft/service/lifecycle'
import type { Logger } from '@weft/service/logger'
import type { CurrentAuthority } from '../authority/current.ts'

const configMaps = { group: '', version: 'v1', plural: 'configmaps' }
const namespaces = { group: '', version: 'v1', plural: 'namespaces' }

/** The key under which pods find the roots. */
const key = 'root-cert.pem'

export interface RootConfigMapsOptions {
  client: KubernetesClient
  /** Of the ConfigMap in each namespace; Istio's is `istio-ca-root-cert`. */
  name: string
  authority: Pick<CurrentAuthority, 'get' | 'onChange'>
  lifecycle: Lifecycle
  logger: Logger
}

/**
 * Keeps the root certificates in a ConfigMap of every namespace of a cluster, where injected pods mount them: in new namespaces,
 * after a rotation, and when others changed or removed it. Returns at once.
 */
export function keepRootConfigMaps({ client, name, authority, lifecycle, logger }: RootConfigMapsOptions): void {
  let writing = Promise.resolve()
  const reconcile = (): void => {
    writing = writing.then(writeAll).catch((thrown: unknown) => {
      if (!lifecycle.signal.aborted) logger.error(`the roots were not written: ${WeftError.from(thrown).describe()}`)
    })
  }
  const inNamespaces = new ListWatch({
    client,
    resource: namespaces,
    // What is being deleted takes nothing new.
    read: ({ metadata }) => (metadata['deletionTimestamp'] === undefined ? metadata.name : undefined),
    onChange: reconcile,
    logger,
  })
  const written = new ListWatch({
    client,
    resource: configMaps,
    fieldSelector: `metadata.name=${name}`,
    read: ({ value }) => {
      const { data } = value
      return { roots: typeof data === 'object' && data !== null && key in data ? data[key] : undefined }
    },
    onChange: reconcile,
    logger,
  })
  const writeAll = async (): Promise<void> => {
    if (!inNamespaces.synced || !written.synced) return
    const roots = authority.get().bundlePem
    const data = { [key]: roots }
    for (const namespace of inNamespaces.items.values()) {
      const found = written.items.get(`${namespace}/${name}`)
      if (found?.roots === roots) continue
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data }
      const answer = await client.send(
        found === undefined
          ? { method: 'POST', path: resourcePath(configMaps, namespace), body, signal: lifecycle.signal }
          : {
              method: 'PATCH',
              path: resourcePath(configMaps, namespace, name),
              contentType: 'application/merge-patch+json',
              body: { data },
              signal: lifecycle.signal,
            },
      )
      // A namespace that goes and a ConfigMap that another makes come as changes of their own.
      const gone = answer.status === 404 || answer.status === 409
      if (answer.status >= 300 && !gone) {
        logger.error({ namespace, status: answer.status, answer: answer.body }, `the ConfigMap ${name} was not written`)
      }
    }
  }
  const endFollowing = authority.onChange(reconcile)
  lifecycle.onStop('root certificates in ConfigMaps', async () => {
    endFollowing()
    await Promise.all([inNamespaces.close(), written.close()])
    await writing
  })
}
