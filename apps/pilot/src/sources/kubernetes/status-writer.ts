import { ingressKinds } from '@weft/config/custom-resources/kinds'
import type { Nack } from '@weft/config/pilot-api'
import type { KubernetesClient } from '@weft/kubernetes/client'
import { LeaseElection } from '@weft/kubernetes/lease'
import { resourcePath } from '@weft/kubernetes/resource'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import type { IngressStatus } from './ingress-status.ts'
import type { KeptObject, KubernetesConfig } from './kubernetes-config.ts'
import { statusWith } from './object-status.ts'
import type { StoredObject } from './stored-object.ts'

/** How far proxies are: what the writer asks of Pilot's own book. */
export interface ProxyProgress {
  progress(generation: number): { settled: string[]; refused: string[]; waiting: string[] }
  nacks(): Nack[]
  onProgress(listener: () => void): () => void
}

export interface StatusWriterOptions {
  client: KubernetesClient
  config: KubernetesConfig
  proxies: ProxyProgress
  /** The generation of Pilot's snapshot in force. */
  generation: () => number
  /** Where the lease is, how it is called, and who this replica is. */
  namespace: string
  leaseName: string
  identity: string
  /** What the status of Ingresses says. */
  ingress?: IngressStatus
  /** Which objects are written back to under this lease; all by default. */
  writes?: (stored: StoredObject) => boolean
  logger: Logger
  /** Of the lease; for tests. */
  leaseMs?: number
}

const writesAtOnce = 4
/** Progress of proxies is looked at this long after a change, together. */
const quietMs = 100
/** Proxies that have not answered by then are not waited for. */
const patienceMs = 10_000

/**
 * Writes back to each custom resource what became of it: refused and why, taken by how many proxies, or rejected by one. Of
 * several replicas only the one that holds the lease writes. A write that meets a newer object is made again for that one.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions
  readonly #election: LeaseElection
  readonly #stops: (() => void)[]
  /** Since when the generation of an object is in force in which of Pilot's: by object and generation. */
  readonly #since = new Map<string, { generation: number; pilot: number; atMs: number }>()
  readonly #writing = new Set<Promise<void>>()
  /** Of each object, the version that a write was refused for. */
  readonly #abandoned = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: StatusWriterOptions) {
    this.#options = options
    const { client, namespace, leaseName: name, identity, logger, config, proxies, leaseMs } = options
    const onChange = (): void => this.#soon(0)
    this.#election = new LeaseElection({
      client,
      namespace,
      name,
      identity,
      onChange,
      logger,
      ...(leaseMs === undefined ? {} : { durationMs: leaseMs }),
    })
    const quietly = (): void => this.#soon(quietMs)
    this.#stops = [
      config.subscribe(quietly),
      proxies.onProgress(quietly),
      options.ingress?.subscribe(quietly) ?? (() => undefined),
    ]
  }

  get leads(): boolean {
    return this.#election.leads
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    for (const stop of this.#stops) stop()
    await Promise.all(this.#writing)
    await this.#election.close()
  }

  #soon(delayMs: number): void {
    if (this.#closed) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#write()
    }, delayMs)
  }

  /** Begins as many writes as may be made at a time; the end of each begins the next. */
  #write(): void {
    const { config, proxies, generation, ingress, writes = () => true } = this.#options
    const now = performance.now()
    let waits = false
    const refusals = refusalsByObject(proxies.nacks())
    const byGeneration = new Map<number, ReturnType<ProxyProgress['progress']>>()
    const progressOf = (pilot: number): ReturnType<ProxyProgress['progress']> => {
      const known = byGeneration.get(pilot) ?? proxies.progress(pilot)
      byGeneration.set(pilot, known)
      return known
    }
    for (const known of [this.#since, this.#abandoned]) {
      for (const id of known.keys()) if (!config.objects.has(id)) known.delete(id)
    }
    for (const [id, object] of config.objects) {
      const { stored } = object
      if (!writes(stored)) continue
      if (ingressKinds.includes(object.kind.resource)) {
        const isSettled = !this.#election.leads || this.#abandoned.get(id) === stored.resourceVersion
        const status = isSettled ? undefined : ingress?.of(object)
        if (status === undefined) continue
        if (this.#writing.size >= writesAtOnce) return
        this.#begin(id, object, status)
        continue
      }
      let since = this.#since.get(id)
      if (since?.generation !== stored.generation) {
        since = { generation: stored.generation, pilot: generation(), atMs: now }
        this.#since.set(id, since)
      }
      // Of kinds that nothing acts on there is nothing to say.
      if (!this.#election.leads || stored.reading.type === 'ignored') continue
      if (this.#abandoned.get(id) === stored.resourceVersion) continue
      const isRefused = stored.reading.type === 'refused'
      const { settled, refused, waiting } = progressOf(since.pilot)
      if (!isRefused && waiting.length > 0 && now - since.atMs < patienceMs) {
        waits = true
        continue
      }
      const total = settled.length + refused.length + waiting.length
      const status = statusWith(
        stored.status,
        {
          generation: stored.generation,
          problems: stored.reading.problems,
          proxies: stored.reading.type === 'object' ? { settled: settled.length, total } : undefined,
          refusals: refusals.get(object.loaded?.key ?? '') ?? [],
        },
        new Date(),
      )
      if (status === undefined) continue
      if (this.#writing.size >= writesAtOnce) return
      this.#begin(id, object, status)
    }
    if (waits) this.#soon(1_000)
  }

  #begin(id: string, object: KeptObject, status: Record<string, unknown>): void {
    const { resourceVersion } = object.stored
    // Whatever comes of it, it is not tried again for this version: a write makes another one.
    this.#abandoned.set(id, resourceVersion)
    const write = this.#patch(object, status)
      .catch((error: unknown) => {
        const { logger } = this.#options
        logger.debug({ object: id }, `its status was not written: ${WeftError.from(error).describe()}`)
        this.#abandoned.delete(id)
        this.#soon(5_000)
      })
      .finally(() => {
        this.#writing.delete(write)
        this.#soon(0)
      })
    this.#writing.add(write)
  }

  async #patch({ kind, namespace, name, stored }: KeptObject, status: Record<string, unknown>): Promise<void> {
    const { group, plural } = kind.resource
    const path = resourcePath({ group, version: kind.version, plural }, namespace, name, 'status')
    const body = { metadata: { resourceVersion: stored.resourceVersion }, status }
    const call = { method: 'PATCH', path, body, contentType: 'application/merge-patch+json' } as const
    const answer = await this.#options.client.send(call)
    // 409: a newer one is on its way here; 404: it is gone, or its definition has no status.
    if ([200, 404, 409].includes(answer.status)) return
    throw new WeftError('unavailable', `status ${answer.status}: ${JSON.stringify(answer.body).slice(0, 300)}`, {
      where: { path },
    })
  }
}

function refusalsByObject(nacks: readonly Nack[]): Map<string, string[]> {
  const refusals = new Map<string, string[]>()
  for (const { node, message, objects } of nacks) {
    for (const { object } of objects) refusals.set(object, [...(refusals.get(object) ?? []), `${node}: ${message}`])
  }
  return refusals
}
