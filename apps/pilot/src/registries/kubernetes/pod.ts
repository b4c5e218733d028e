import { workloadOf } from '@weft/inject/workload'
import type { ApiObject } from '@weft/kubernetes/resource'
import { z } from 'zod'
import type { Locality, Workload } from '../../model/workload.ts'
import { parseLocality } from '../file/workloads.ts'

const texts = z.record(z.string(), z.string()).nullish()

const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    generateName: z.string().optional(),
    labels: texts,
    ownerReferences: z
      .array(z.object({ apiVersion: z.string(), kind: z.string(), name: z.string(), controller: z.boolean().optional() }))
      .optional(),
  }),
  spec: z.object({
    nodeName: z.string().nullish(),
    serviceAccountName: z.string().nullish(),
    hostNetwork: z.boolean().nullish(),
    containers: z
      .array(
        z.object({
          ports: z.array(z.object({ name: z.string().nullish(), containerPort: z.number() })).nullish(),
        }),
      )
      .default([]),
  }),
  status: z
    .object({
      phase: z.string().nullish(),
      podIP: z.string().nullish(),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).nullish(),
    })
    .default({}),
})

/** What the mesh knows of a pod. */
export interface Pod {
  name: string
  /** Of the Deployment or the like that made it; its own where none did. */
  workload: string
  namespace: string
  labels: Readonly<Record<string, string>>
  serviceAccount: string
  node: string
  /** Empty while it has none, and once the pod has ended. */
  address: string
  /** It shares its node's address, so that the address does not tell which pod it is. */
  onHostNetwork: boolean
  ready: boolean
  /** Container ports by name. */
  ports: Readonly<Record<string, number>>
}

/** Reads a `v1 Pod`; undefined for one that cannot be read. */
export function readPod({ value }: ApiObject): Pod | undefined {
  const parsed = podSchema.safeParse(value)
  if (!parsed.success) return undefined
  const { metadata, spec, status } = parsed.data
  const ended = status.phase === 'Succeeded' || status.phase === 'Failed'
  const ports: Record<string, number> = {}
  for (const { name, containerPort } of spec.containers.flatMap((container) => container.ports ?? [])) {
    if (name) ports[name] ??= containerPort
  }
  const labels = metadata.labels ?? {}
  return {
    name: metadata.name,
    workload: workloadOf({ metadata: { ...metadata, labels } }).name,
    namespace: metadata.namespace,
    labels,
    serviceAccount: spec.serviceAccountName || 'default',
    node: spec.nodeName ?? '',
    address: ended ? '' : (status.podIP ?? ''),
    onHostNetwork: spec.hostNetwork === true,
    ready: status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false,
    ports,
  }
}

/** What a cluster adds to each of its pods. */
export interface PodPlace {
  trustDomain: string
  locality: Locality
  network: string
}

/** `Pod/namespace/name`: where a workload that is a pod comes from. */
const podOrigin = 'Pod/'

/** A pod as a workload of the mesh. Labels `istio-locality` and `topology.istio.io/network` go before what its node says. */
export function workloadOfPod(pod: Pod, { trustDomain, locality, network }: PodPlace): Workload {
  const { name, namespace, labels, serviceAccount, address, ports } = pod
  const own = labels['istio-locality']
  return {
    key: `${namespace}/${name}`,
    name: pod.workload,
    namespace,
    address,
    ports,
    labels,
    serviceAccount,
    identity: `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`,
    locality: own === undefined ? locality : parseLocality(own.replaceAll('.', '/')),
    network: labels['topology.istio.io/network'] ?? network,
    ...(pod.node === '' ? {} : { node: pod.node }),
    weight: 0,
    health: pod.ready ? 'healthy' : 'unhealthy',
    tlsMode: labels['security.istio.io/tlsMode'] === 'istio' ? 'istio' : 'disabled',
    origin: `${podOrigin}${namespace}/${name}`,
  }
}
