import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'
import { answerError, type KubernetesClient } from './client.ts'
import { resourcePath } from './resource.ts'

export interface LeaseOptions {
  client: KubernetesClient
  namespace: string
  name: string
  /** Who this is; another for each process. */
  identity: string
  /** Called with each change. */
  onChange: (leads: boolean) => void
  logger: Logger
  /** How long a leader that is not heard of goes on leading (15 s); it renews five times as often. */
  durationMs?: number
}

const leases = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' }
const leaseSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  spec: z
    .looseObject({
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.number().nullish(),
      renewTime: z.string().nullish(),
      leaseTransitions: z.number().nullish(),
    })
    .default({}),
})
type LeaseObject = z.infer<typeof leaseSchema>

/**
 * Elects one leader among several processes by a Lease of Kubernetes. Clocks need not agree: a holder has lost the lease when it
 * did not change it for the lease's duration, by our own clock. Who cannot renew stops leading before others may begin.
 */
export class LeaseElection {
  leads = false
  readonly #options: LeaseOptions
  readonly #durationMs: number
  readonly #abort = new AbortController()
  readonly #running: Promise<void>
  /** The holder's last sign of life, and when we saw it. */
  #seen: { sign: string; atMs: number } | undefined
  #renewedMs = 0

  constructor(options: LeaseOptions) {
    this.#options = options
    this.#durationMs = options.durationMs ?? 15_000
    this.#running = this.#run()
  }

  /** Ends it, and gives the lease free so that another need not wait. */
  async close(): Promise<void> {
    this.#abort.abort()
    await this.#running
    if (!this.leads) return
    this.#set(false)
    await this.#release().catch((error: unknown) => this.#options.logger.debug({ err: error }, 'the lease was not given free'))
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      try {
        this.#set(await this.#attempt())
      } catch (thrown) {
        if (signal.aborted) return
        this.#options.logger.debug(`no election: ${WeftError.from(thrown).describe()}`)
        if (this.leads && performance.now() - this.#renewedMs > (this.#durationMs * 2) / 3) this.#set(false)
      }
      await delay((this.#durationMs / 5) * (0.8 + Math.random() * 0.4), undefined, { signal }).catch(() => undefined)
    }
  }

  #set(leads: boolean): void {
    if (leads === this.leads) return
    this.leads = leads
    this.#options.logger.info({ lease: this.#options.name }, leads ? 'leads' : 'leads no longer')
    this.#options.onChange(leads)
  }

  #path(): string {
    return resourcePath(leases, this.#options.namespace, this.#options.name)
  }

  /** One look at the lease, and a try to hold it where it is ours or free. */
  async #attempt(): Promise<boolean> {
    const { client, namespace, identity } = this.#options
    // As far as others may know, it is ours from now at most.
    const startedMs = performance.now()
    const get = { path: this.#path(), signal: this.#abort.signal, timeoutMs: Math.ceil(this.#durationMs / 3) }
    const answer = await client.send(get)
    if (answer.status === 404) {
      const call = { method: 'POST', path: resourcePath(leases, namespace), body: this.#lease(undefined) } as const
      return this.#held((await client.send({ ...call, timeoutMs: get.timeoutMs })).status, startedMs)
    }
    if (answer.status !== 200) throw answerError(get, answer)
    const lease = leaseSchema.parse(answer.body)
    const holder = lease.spec.holderIdentity ?? ''
    if (holder !== identity && holder !== '' && !this.#hasExpired(lease)) return false
    const call = { method: 'PUT', path: this.#path(), body: this.#lease(lease), timeoutMs: get.timeoutMs } as const
    return this.#held((await client.send(call)).status, startedMs)
  }

  #held(status: number, startedMs: number): boolean {
    // 409: another was faster.
    if (status !== 200 && status !== 201) {
      if (status !== 409)
        throw new WeftError('unavailable', `the lease was not written: status ${status}`, { where: { path: this.#path() } })
      return false
    }
    this.#renewedMs = startedMs
    return true
  }

  #hasExpired({ spec }: LeaseObject): boolean {
    const sign = `${spec.holderIdentity} ${spec.renewTime} ${spec.leaseTransitions}`
    if (this.#seen?.sign !== sign) this.#seen = { sign, atMs: performance.now() }
    return performance.now() - this.#seen.atMs > (spec.leaseDurationSeconds ?? 0) * 1_000
  }

  #lease(before: LeaseObject | undefined): unknown {
    const { namespace, name, identity } = this.#options
    const now = `${new Date().toISOString().slice(0, -1)}000Z`
    const isOurs = before?.spec.holderIdentity === identity
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: before?.metadata ?? { namespace, name },
      spec: {
        ...before?.spec,
        holderIdentity: identity,
        leaseDurationSeconds: Math.max(1, Math.round(this.#durationMs / 1_000)),
        renewTime: now,
        ...(isOurs
          ? {}
          : { acquireTime: now, leaseTransitions: before === undefined ? 0 : (before.spec.leaseTransitions ?? 0) + 1 }),
      },
    }
  }

  async #release(): Promise<void> {
    const { client } = this.#options
    const answer = await client.send({ path: this.#path(), timeoutMs: 2_000 })
    if (answer.status !== 200) return
    const lease = leaseSchema.parse(answer.body)
    if (lease.spec.holderIdentity !== this.#options.identity) return
    const body = { ...lease, spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 } }
    await client.send({ method: 'PUT', path: this.#path(), body, timeoutMs: 2_000 })
  }
}
