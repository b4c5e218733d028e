import type { Identity } from '@weft/identity/client'
import type { KubernetesClient } from '@weft/kubernetes/client'
import { ListWatch } from '@weft/kubernetes/list-watch'
import { resourcePath } from '@weft/kubernetes/resource'
import { WeftError } from '@weft/service/errors'
import type { Lifecycle } from '@weft/service/lifecycle'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'

const configurations = { group: 'admissionregistration.k8s.io', version: 'v1', plural: 'mutatingwebhookconfigurations' }

const webhooksSchema = z.array(
  z.looseObject({ name: z.string(), clientConfig: z.looseObject({ caBundle: z.string().optional() }) }),
)

export interface CaBundleOptions {
  client: KubernetesClient
  identity: Pick<Identity, 'current' | 'onChange'>
  /** Of this Pilot; the configurations' label `istio.io/rev`. */
  revision: string
  lifecycle: Lifecycle
  logger: Logger
}

/**
 * Writes the mesh's roots into the MutatingWebhookConfigurations of this revision (label `app: sidecar-injector`): when one is
 * made or changed by others, and when the roots are rotated. Returns at once.
 */
export function keepCaBundle({ client, identity, revision, lifecycle, logger }: CaBundleOptions): void {
  let writing = Promise.resolve()
  const write = (): void => {
    writing = writing.then(writeAll).catch((thrown: unknown) => {
      if (!lifecycle.signal.aborted) logger.error(`the webhook's roots were not written: ${WeftError.from(thrown).describe()}`)
    })
  }
  const watch = new ListWatch({
    client,
    resource: configurations,
    labelSelector: `app=sidecar-injector,istio.io/rev=${revision || 'default'}`,
    read: ({ metadata, value }) => ({
      resourceVersion: metadata.resourceVersion,
      webhooks: webhooksSchema.safeParse(value['webhooks']).data ?? [],
    }),
    onChange: write,
    logger,
  })
  const writeAll = async (): Promise<void> => {
    const roots = identity.current()?.bundlePem
    if (roots === undefined) return
    const caBundle = Buffer.from(roots).toString('base64')
    for (const [name, { resourceVersion, webhooks }] of watch.items) {
      if (webhooks.every(({ clientConfig }) => clientConfig.caBundle === caBundle)) continue
      const written = webhooks.map((webhook) => ({ ...webhook, clientConfig: { ...webhook.clientConfig, caBundle } }))
      await client.call({
        method: 'PATCH',
        path: resourcePath(configurations, undefined, name),
        contentType: 'application/merge-patch+json',
        // The version: what others changed meanwhile is not undone, but comes as a change and is written then.
        body: { metadata: { resourceVersion }, webhooks: written },
        signal: lifecycle.signal,
      })
      logger.info({ name }, "the mesh's roots were written into the webhook configuration")
    }
  }
  lifecycle.onStop('roots of the webhook', async () => {
    endFollowing()
    await watch.close()
    await writing
  })
  const endFollowing = identity.onChange(write)
}
