import type { ApiObject } from '@weft/kubernetes/resource'
import { z } from 'zod'
import type { Health } from '../../model/workload.ts'

const sliceSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
  }),
  addressType: z.string(),
  ports: z.array(z.object({ name: z.string().nullish(), port: z.number().nullish() })).nullish(),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()).min(1),
        conditions: z
          .object({ ready: z.boolean().nullish(), serving: z.boolean().nullish(), terminating: z.boolean().nullish() })
          .nullish(),
        targetRef: z
          .object({ kind: z.string().nullish(), name: z.string().nullish(), namespace: z.string().nullish() })
          .nullish(),
        nodeName: z.string().nullish(),
        zone: z.string().nullish(),
      }),
    )
    .nullish(),
})

export interface SliceEndpoint {
  address: string
  health: Health
  /** `namespace/name` of its pod; undefined where it is none. */
  pod: string | undefined
  node: string
  zone: string
}

/** One of the slices that together are a service's endpoints. */
export interface EndpointSlice {
  /** `namespace/name` of the service. */
  service: string
  family: 'IPv4' | 'IPv6'
  /** By the name of the service's port; empty for the only one. */
  ports: Readonly<Record<string, number>>
  endpoints: readonly SliceEndpoint[]
}

/** Reads a `discovery.k8s.io/v1 EndpointSlice`; undefined for one of names (FQDN), or that belongs to no service. */
export function readEndpointSlice({ value }: ApiObject): EndpointSlice | undefined {
  const parsed = sliceSchema.safeParse(value)
  if (!parsed.success) return undefined
  const { metadata, addressType, ports, endpoints } = parsed.data
  const service = metadata.labels['kubernetes.io/service-name']
  if (service === undefined || (addressType !== 'IPv4' && addressType !== 'IPv6')) return undefined
  const byName: Record<string, number> = {}
  for (const { name, port } of ports ?? []) if (typeof port === 'number') byName[name ?? ''] = port
  return {
    service: `${metadata.namespace}/${service}`,
    family: addressType,
    ports: byName,
    endpoints: (endpoints ?? []).map(({ addresses, conditions, targetRef, nodeName, zone }) => ({
      // The first address: "all are to be taken as the same".
      address: addresses[0]!,
      health: healthOf(conditions ?? {}),
      pod:
        targetRef?.kind === 'Pod' && targetRef.name
          ? `${targetRef.namespace ?? metadata.namespace}/${targetRef.name}`
          : undefined,
      node: nodeName ?? '',
      zone: zone ?? '',
    })),
  }
}

/** Unsaid is ready. One that terminates and still serves ends what it has and gets nothing new. */
function healthOf(conditions: {
  ready?: boolean | null | undefined
  serving?: boolean | null | undefined
  terminating?: boolean | null | undefined
}): Health {
  if (conditions.ready !== false) return 'healthy'
  return conditions.terminating === true && conditions.serving !== false ? 'draining' : 'unhealthy'
}
