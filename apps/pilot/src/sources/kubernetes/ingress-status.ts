import { isIP } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import type { KubernetesClient } from '@weft/kubernetes/client'
import type { ApiObject } from '@weft/kubernetes/resource'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'
import { ingressClasses, isOurIngress } from '../../model/ingress.ts'
import type { IngressSettings } from '../../model/ingress-settings.ts'
import { Collection } from '../../registries/kubernetes/collection.ts'
import type { KeptObject, KubernetesConfig } from './kubernetes-config.ts'

export interface IngressStatusOptions {
  client: KubernetesClient
  config: Pick<KubernetesConfig, 'current'>
  settings: IngressSettings
  /** Where the Service before the gateway is. */
  namespace: string
  logger: Logger
}

interface Address {
  ip?: string
  hostname?: string
}

const addressSchema = z.object({ ip: z.string().optional(), hostname: z.string().optional() })
const loadBalancerSchema = z
  .object({ loadBalancer: z.object({ ingress: z.array(addressSchema).default([]) }).prefault({}) })
  .prefault({})
const serviceSchema = z.object({
  spec: z
    .object({ type: z.string().optional(), externalName: z.string().optional(), externalIPs: z.array(z.string()).default([]) })
    .prefault({}),
  status: loadBalancerSchema,
})

/** Where Ingresses are reached, which their status says: the addresses of the Service before the gateway. */
export class IngressStatus {
  readonly #options: IngressStatusOptions
  readonly #services: Collection<readonly Address[]> | undefined
  readonly #listeners = new Set<() => void>()
  #classes: { of: KubernetesConfig['current']; byName: ReturnType<typeof ingressClasses> } | undefined

  constructor(options: IngressStatusOptions) {
    this.#options = options
    const { client, settings, namespace, logger } = options
    if (settings.mode === 'OFF' || settings.service === '') return
    this.#services = new Collection({
      client,
      logger,
      resource: { group: '', version: 'v1', plural: 'services' },
      namespaces: [namespace],
      fieldSelector: `metadata.name=${settings.service}`,
      read: addressesOf,
      onChange: () => {
        for (const listener of this.#listeners) listener()
      },
      onState: () => undefined,
    })
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.#services?.close()
  }

  /** What an Ingress's status should say; undefined where it says so already, or is none of ours. */
  of({ loaded, stored }: KeptObject): Record<string, unknown> | undefined {
    if (loaded?.object.kind !== 'Ingress' || loaded.type !== 'object' || !this.#services?.synced) return undefined
    const { namespace, settings, config } = this.#options
    const { current } = config
    if (this.#classes?.of !== current) {
      const objects = [...current.objects.values()].flatMap((one) => (one.type === 'object' ? [one.object] : []))
      this.#classes = { of: current, byName: ingressClasses(objects) }
    }
    if (loaded.object.kind !== 'Ingress' || !isOurIngress(loaded.object, this.#classes.byName, settings)) return undefined
    const addresses = this.#services.get(`${namespace}/${settings.service}`) ?? []
    const before = loadBalancerSchema.safeParse(stored.status)
    if (before.success && isDeepStrictEqual(sorted(before.data.loadBalancer.ingress), sorted(addresses))) return undefined
    // An empty list would stay in a merge patch as the old one does.
    return { loadBalancer: { ingress: addresses.length === 0 ? null : addresses } }
  }
}

function addressesOf({ value }: ApiObject): readonly Address[] {
  const read = serviceSchema.safeParse(value)
  if (!read.success) return []
  const { spec, status } = read.data
  if (spec.type === 'ExternalName') return spec.externalName === undefined ? [] : [{ hostname: spec.externalName }]
  const given = [...status.loadBalancer.ingress.map(({ ip, hostname }) => ip || hostname || ''), ...spec.externalIPs]
  return [...new Set(given)].filter((text) => text !== '').map((text) => (isIP(text) === 0 ? { hostname: text } : { ip: text }))
}

function sorted(addresses: readonly Address[]): string[] {
  return addresses.map(({ ip, hostname }) => ip || hostname || '').sort()
}
