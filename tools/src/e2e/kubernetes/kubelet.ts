import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ListWatch } from '@weft/kubernetes/list-watch'
import type { ApiObject } from '@weft/kubernetes/resource'
import { createLogger } from '@weft/service/logger'
import { proxyBootstrap } from '@weft/weft/mesh/bootstrap'
import { z } from 'zod'
import type { KubernetesServer } from '../../kubernetes/server.ts'
import { freePort, type Running, start, until } from '../../processes.ts'
import { asEnvoy } from '../as-envoy.ts'
import { root } from '../mesh-under-test.ts'
import { bookinfoPort, serviceOctets } from '../on-platform/bookinfo.ts'
import { podAddress } from './addresses.ts'

export interface KubeletOptions {
  server: KubernetesServer
  folder: string
  /** The mesh's share of the loopback network, for what is inside of pods. */
  octet: number
  pilot: { host: string; port: number }
  citadel: { host: string; port: number }
  rootCertFile: string
  /** Pods of this app get real Envoy as their sidecar. */
  envoy: { app: string; binary: string } | undefined
}

const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.object({
    serviceAccountName: z.string().default('default'),
    nodeName: z.string().optional(),
    containers: z.array(z.object({ name: z.string() })),
    initContainers: z.array(z.object({ name: z.string() })).default([]),
  }),
})
type Pod = z.infer<typeof podSchema>

/** What runs for one pod. */
interface Life {
  /** What it is one of, and the node it was put on. */
  program: string
  node: string
  processes: Running[]
  started: Promise<void>
}

/** Those of the cluster. */
const nodes = ['node-1', 'node-2'] as const
const readyMs = 300_000
/** Between the end of a pod's readiness and of its processes: as its termination grace period. */
const graceMs = 3_000
const audience = 'istio-ca'

/**
 * What a kubelet and a scheduler do, for Bookinfo's pods: puts each on a node, gives it an address and a projected token,
 * runs its program and its sidecar as processes, tells when it is ready, and ends them when it is deleted.
 */
export class Kubelet {
  readonly #options: KubeletOptions
  readonly #watch: ListWatch<Pod>
  readonly #lives = new Map<string, Life>()
  /** How many pods are ending. */
  ending = 0
  #numbers = 0
  /** Of real Envoy, once it runs as a pod's sidecar. */
  envoyAdmin: string | undefined
  /** What went wrong, to be looked at by the scenario. */
  readonly problems: string[] = []

  constructor(options: KubeletOptions) {
    this.#options = options
    this.#watch = new ListWatch<Pod>({
      client: options.server.client,
      resource: { group: '', version: 'v1', plural: 'pods' },
      namespace: 'default',
      read: ({ value }: ApiObject) => podSchema.safeParse(value).data,
      onChange: (keys) => {
        for (const key of keys) this.#changed(key)
      },
      logger: createLogger('kubelet', 'silent'),
    })
  }

  /** Pods that run, by name. */
  get running(): string[] {
    return [...this.#lives.keys()]
  }

  async close(): Promise<void> {
    await this.#watch.close()
    await Promise.all([...this.#lives.values()].flatMap(({ processes }) => processes.map((process) => process.stop())))
  }

  #changed(key: string): void {
    const pod = this.#watch.items.get(key)
    const life = this.#lives.get(key)
    if (pod?.metadata.deletionTimestamp !== undefined || pod === undefined) {
      if (life !== undefined) this.#guard(key, this.#end(key, pod, life))
      return
    }
    if (life !== undefined) return
    const processes: Running[] = []
    const { app = '', version = '' } = pod.metadata.labels
    const program = `${app} ${version}`
    const node = this.#nodeFor(program)
    const started = this.#start(pod, node, ++this.#numbers, processes)
    this.#lives.set(key, { program, node, processes, started })
    this.#guard(key, started)
  }

  /** The first node where it does not run yet. */
  #nodeFor(program: string): string {
    const taken = new Set([...this.#lives.values()].filter((life) => life.program === program).map(({ node }) => node))
    return nodes.find((node) => !taken.has(node)) ?? nodes[0]
  }

  /** The pods of a program on a node, by name. */
  podsOn(node: (typeof nodes)[number], program: string): string[] {
    return [...this.#lives].flatMap(([key, life]) =>
      life.node === node && life.program === program ? [key.slice(key.indexOf('/') + 1)] : [],
    )
  }

  #guard(key: string, work: Promise<void>): void {
    work.catch((error: unknown) => this.problems.push(`${key}: ${error instanceof Error ? error.message : String(error)}`))
  }

  async #start(pod: Pod, node: string, number: number, processes: Running[]): Promise<void> {
    const { server, octet } = this.#options
    const { name, namespace } = pod.metadata
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { kind: 'Node', name: node } }
    await server.client.call({ method: 'POST', path: `${path}/binding`, body: binding })
    const prefix = `127.${octet}.${number}`
    processes.push(this.#startProgram(pod, prefix))
    const isInjected = [...pod.spec.containers, ...pod.spec.initContainers].some((container) => container.name === 'istio-proxy')
    const address = podAddress(number)
    await this.#status(path, address, false)
    if (!isInjected) throw new Error('the pod has no sidecar')
    const sidecar = await this.#startSidecar(pod, prefix, address)
    processes.push(sidecar.running)
    const isReady = async (): Promise<boolean> =>
      (await fetch(`http://${sidecar.admin}/ready`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined))?.ok === true
    await until(isReady, `the sidecar of ${name} to be ready`, sidecar.running, readyMs)
    await this.#status(path, address, true)
  }

  #startProgram({ metadata: { name, labels } }: Pod, prefix: string): Running {
    const { app = '', version = '' } = labels
    const hosts = Object.entries(serviceOctets).map(([service, last]) => [
      `${service.toUpperCase()}_HOSTNAME`,
      `${prefix}.${last}`,
    ])
    const stars = version === 'v2' ? { STAR_COLOR: 'black' } : version === 'v3' ? { STAR_COLOR: 'red' } : {}
    const ratings = app === 'reviews' && version !== 'v1' ? { ENABLE_RATINGS: 'true', ...stars } : {}
    const env = { HOST: `${prefix}.2`, PORT: String(bookinfoPort), HOSTNAME: name, ...Object.fromEntries(hosts), ...ratings }
    return start([process.execPath, join(root, `apps/bookinfo/src/${app}/main.ts`)], { env: { ...process.env, ...env } })
  }

  /** The sidecar, with the token that Kubernetes projects for its pod. */
  async #startSidecar(pod: Pod, prefix: string, address: string): Promise<{ running: Running; admin: string }> {
    const { server, folder, pilot, citadel, rootCertFile, envoy } = this.#options
    const { name, namespace, labels } = pod.metadata
    const { serviceAccountName: serviceAccount } = pod.spec
    const joinToken = await server.tokenOf(namespace, serviceAccount, { audiences: [audience], pod: name })
    const services = Object.fromEntries(
      Object.entries(serviceOctets).map(([service, last]) => [`${service}.default.svc.cluster.local`, last]),
    )
    const bootstrap = proxyBootstrap({
      ...{ pilot, citadel, admin: address, meshId: 'kubernetes', rootCertFile, joinToken },
      proxy: {
        ...{ type: 'sidecar', address, name, workload: labels['app'] ?? name, namespace, serviceAccount, labels },
      },
      interception: { mode: 'NONE', loopback: { prefix, app: `${prefix}.2`, services } },
    })
    await mkdir(folder, { recursive: true })
    const file = join(folder, `${name}.json`)
    if (envoy?.app === labels['app']) {
      const admin = await freePort()
      this.envoyAdmin = `http://127.0.0.1:${admin}`
      await writeFile(file, JSON.stringify(asEnvoy(bootstrap, admin, joinToken)), { mode: 0o600 })
      const running = start([envoy.binary, '-c', file, '--disable-hot-restart', '--concurrency', '1', '-l', 'warn'])
      return { running, admin: `127.0.0.1:${admin}` }
    }
    await writeFile(file, JSON.stringify(bootstrap), { mode: 0o600 })
    const running = start([
      process.execPath,
      join(root, 'apps/proxy/src/main.ts'),
      '-c',
      file,
      '--concurrency',
      '1',
      '-l',
      'warn',
    ])
    return { running, admin: `${address}:15000` }
  }

  async #status(path: string, address: string, ready: boolean): Promise<void> {
    const status = {
      phase: 'Running',
      podIP: address,
      podIPs: [{ ip: address }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    }
    const call = {
      method: 'PATCH',
      path: `${path}/status`,
      body: { status },
      contentType: 'application/merge-patch+json',
    } as const
    await this.#options.server.client.call(call)
  }

  /** The pod is terminating: callers hear of it, then its processes end, then it is gone. */
  async #end(key: string, pod: Pod | undefined, { processes, started }: Life): Promise<void> {
    this.#lives.delete(key)
    this.ending += 1
    await started.catch(() => undefined)
    await delay(graceMs)
    await Promise.all(processes.map((process) => process.stop()))
    this.ending -= 1
    if (pod === undefined) return
    const { name, namespace } = pod.metadata
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`
    await this.#options.server.client.send({ method: 'DELETE', path, query: { gracePeriodSeconds: '0' } })
  }
}
