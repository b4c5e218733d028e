import type { Identity } from '@weft/identity/client'
import type { KubernetesClient } from '@weft/kubernetes/client'
import { ListWatch } from '@weft/kubernetes/list-watch'
import { type ResourceType, resourcePath } from '@weft/kubernetes/resource'
import { WeftError } from '@weft/service/errors'
import type { Lifecycle } from '@weft/service/lifecycle'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'

const configurations = [
  { app: 'sidecar-injector', plural: 'mutatingwebhookconfigurations' },
  { app: 'config-validator', plural: 'validatingwebhookconfigurations' },
] as const

const retryMs = 5_000

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
 * Writes the mesh's roots into the MutatingWebhookConfigurations (label `app: sidecar-injector`) and the
 * ValidatingWebhookConfigurations (`app: config-validator`) of this revision: when one is made or changed by others, and when the
 * roots are rotated. Returns at once.
 */
export function keepCaBundles(options: CaBundleOptions): void {
  for (const { app, plural } of configurations) {
    keepCaBundle({ group: 'admissionregistration.k8s.io', version: 'v1', plural }, app, options)
  }
}

function keepCaBundle(resource: ResourceType, app: string, options: CaBundleOptions): void {
  const { client, identity, revision, lifecycle, logger } = options
  let writing = Promise.resolve()
  let again: NodeJS.Timeout | undefined
  const write = (): void => {
    clearTimeout(again)
    writing = writing.then(writeAll).catch((thrown: unknown) => {
      if (lifecycle.signal.aborted) return
      logger.error(`the roots were not written into ${resource.plural}: ${WeftError.from(thrown).describe()}`)
      again = setTimeout(write, retryMs)
    })
  }
  const watch = new ListWatch({
    client,
    resource,
    labelSelector: `app=${app},istio.io/rev=${revision || 'default'}`,
    read: ({ metadata, value }) => ({
      resourceVersion: metadata.resourceVersion,
      webhooks: webhooksSchema.safeParse(value['webhooks']).data ?? [],
    }),
    onChange: write,
    onState: () => {
      if (watch.problem !== undefined) logger.warn(`${resource.plural} are not followed: ${watch.problem}`)
    },
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
        path: resourcePath(resource, undefined, name),
        contentType: 'application/merge-patch+json',
        // The version: what others changed meanwhile is not undone, but comes as a change and is written then.
        body: { metadata: { resourceVersion }, webhooks: written },
        signal: lifecycle.signal,
      })
      logger.info({ name }, "the mesh's roots were written into the webhook configuration")
    }
  }
  lifecycle.onStop(`roots of ${resource.plural}`, async () => {
    endFollowing()
    await watch.close()
    await writing
    clearTimeout(again)
  })
  const endFollowing = identity.onChange(write)
}
