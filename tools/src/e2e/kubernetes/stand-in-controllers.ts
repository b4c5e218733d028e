import { ListWatch } from '@weft/kubernetes/list-watch'
import type { ApiObject, ResourceType } from '@weft/kubernetes/resource'
import { resourcePath } from '@weft/kubernetes/resource'
import { createLogger } from '@weft/service/logger'
import { z } from 'zod'
import type { KubernetesServer } from '../../kubernetes/server.ts'

const texts = z.record(z.string(), z.string())
const deploymentSchema = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string() }),
  spec: z.object({
    replicas: z.number().default(1),
    template: z.object({ metadata: z.object({ labels: texts }), spec: z.record(z.string(), z.unknown()) }),
  }),
})
const serviceSchema = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string() }),
  spec: z.object({
    selector: texts.optional(),
    ports: z.array(z.object({ name: z.string().default(''), port: z.number(), targetPort: z.unknown() })).default([]),
  }),
})
const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    labels: texts.default({}),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.object({ nodeName: z.string().default('') }),
  status: z
    .object({
      podIP: z.string().default(''),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
    })
    .prefault({}),
})
type Pod = z.infer<typeof podSchema>

/** Which deployment made a pod. */
const madeBy = 'e2e.weft.dev/deployment'

/**
 * What of kube-controller-manager Bookinfo needs, where that is not on the machine: pods of deployments, and one slice of each
 * service, in the namespace `default`.
 */
export class StandInControllers {
  readonly #server: KubernetesServer
  readonly #deployments: ListWatch<z.infer<typeof deploymentSchema>>
  readonly #services: ListWatch<z.infer<typeof serviceSchema>>
  readonly #pods: ListWatch<Pod>
  #running: Promise<void> = Promise.resolve()
  #closed = false
  #scheduled = false
  #made = 0

  constructor(server: KubernetesServer) {
    this.#server = server
    this.#deployments = this.#watch({ group: 'apps', version: 'v1', plural: 'deployments' }, deploymentSchema)
    this.#services = this.#watch({ group: '', version: 'v1', plural: 'services' }, serviceSchema)
    this.#pods = this.#watch({ group: '', version: 'v1', plural: 'pods' }, podSchema)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([this.#deployments, this.#services, this.#pods].map((watch) => watch.close()))
    await this.#running
  }

  #watch<T>(resource: ResourceType, schema: z.ZodType<T>): ListWatch<T> {
    return new ListWatch<T>({
      client: this.#server.client,
      resource,
      namespace: 'default',
      read: ({ value }: ApiObject) => schema.safeParse(value).data,
      onChange: () => this.#soon(),
      logger: createLogger('controllers', 'silent'),
    })
  }

  #soon(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    this.#running = this.#running.then(async () => {
      this.#scheduled = false
      // The API server may be away: it is tried again with what is then.
      await this.#reconcile().catch(() => void setTimeout(() => this.#soon(), 500))
    })
  }

  async #reconcile(): Promise<void> {
    const pods = [...this.#pods.items.values()]
    if (!this.#pods.synced || !this.#services.synced || this.#closed) return
    for (const deployment of this.#deployments.items.values()) await this.#reconcileDeployment(deployment, pods)
    for (const { metadata, spec } of this.#services.items.values()) {
      if (spec.selector === undefined) continue
      const wanted = Object.entries(spec.selector)
      const chosen = pods.filter((pod) => wanted.every(([name, value]) => pod.metadata.labels[name] === value))
      await this.#writeSlice(metadata.name, spec.ports, chosen)
    }
  }

  async #reconcileDeployment({ metadata, spec }: z.infer<typeof deploymentSchema>, pods: readonly Pod[]): Promise<void> {
    const { template, replicas } = spec
    const own = pods.filter(
      (pod) => pod.metadata.labels[madeBy] === metadata.name && pod.metadata.deletionTimestamp === undefined,
    )
    const path = resourcePath({ group: '', version: 'v1', plural: 'pods' }, metadata.namespace)
    for (let missing = own.length; missing < replicas; missing++) {
      const name = `${metadata.name}-${++this.#made}`
      const labels = { ...template.metadata.labels, [madeBy]: metadata.name }
      const body = { metadata: { name, labels }, spec: template.spec }
      await this.#server.client.call({ method: 'POST', path, body })
      await this.#seen(name)
    }
    for (const pod of own.slice(replicas)) {
      const query = { gracePeriodSeconds: '30' }
      await this.#server.client.send({ method: 'DELETE', path: `${path}/${pod.metadata.name}`, query })
    }
  }

  /** Waits until our own copy has a pod: else it would be made again. */
  async #seen(name: string): Promise<void> {
    for (let tries = 0; tries < 500 && !this.#pods.items.has(`default/${name}`); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async #writeSlice(
    service: string,
    ports: readonly { name: string; port: number; targetPort: unknown }[],
    pods: readonly Pod[],
  ) {
    const type = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' }
    const name = `${service}-slice`
    const body = {
      metadata: { name, labels: { 'kubernetes.io/service-name': service } },
      addressType: 'IPv4',
      ports: ports.map(({ name: port, port: number, targetPort }) => ({
        name: port,
        port: typeof targetPort === 'number' ? targetPort : number,
      })),
      endpoints: pods
        .filter((pod) => pod.status.podIP !== '')
        .map((pod) => {
          const terminating = pod.metadata.deletionTimestamp !== undefined
          const serving = pod.status.conditions.some(({ type: of, status }) => of === 'Ready' && status === 'True')
          return {
            addresses: [pod.status.podIP],
            conditions: { ready: serving && !terminating, serving, terminating },
            targetRef: { kind: 'Pod', name: pod.metadata.name, namespace: 'default' },
            nodeName: pod.spec.nodeName,
          }
        }),
    }
    const path = resourcePath(type, 'default', name)
    const merge = { method: 'PATCH', path, body, contentType: 'application/merge-patch+json' } as const
    const answer = await this.#server.client.send(merge)
    if (answer.status === 404) {
      await this.#server.client.call({ method: 'POST', path: resourcePath(type, 'default'), body })
    } else if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`)
  }
}
