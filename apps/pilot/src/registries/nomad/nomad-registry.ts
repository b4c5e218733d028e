import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { Backoff } from '@weft/xds/client/backoff'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import type { Health } from '../../model/workload.ts'
import { assembleService } from '../assemble-service.ts'
import { type InstanceFacts, isDnsLabel } from '../instance-facts.ts'
import type { PlatformAnswer, PlatformClient } from '../platform-client.ts'
import { Publisher } from '../publisher.ts'
import type { RegisteredService, Registry, RegistryContents, RegistryState } from '../registry.ts'
import {
  eventsSchema,
  jobSchema,
  type NomadEvent,
  type NomadNode,
  nodeSchema,
  type Registration,
  registrationSchema,
  registrationsSchema,
  serviceListSchema,
} from './api.ts'
import { CheckWatch } from './check-watch.ts'
import { factsOf } from './registration-facts.ts'

export interface NomadRegistryOptions {
  client: PlatformClient
  /** `*` for all. */
  namespace: string
  region: string | undefined
  mesh: MeshSettings
  logger: Logger
}

const topics = ['Service:*', 'Node:*', 'Job:*']
/** Nomad sends a heartbeat every 10 s. */
const streamTimeoutMs = 35_000
const answerTimeoutMs = 30_000
/** How long events that Nomad has counted may be on their way, before everything is read again. */
const lateEventsMs = 1_000
const atOnce = 16
const mostLeftOut = 1_000
/** From which Nomad takes ports for instances unless it is told otherwise. */
const dynamicPorts = { least: 20_000, most: 32_000 }

/**
 * Follows Nomad's own service discovery: all registrations are read once, then events tell of each that comes, changes or
 * goes. What checks say is asked of the nodes, for services that have checks.
 */
export class NomadRegistry implements Registry {
  readonly name = 'nomad'
  readonly #options: NomadRegistryOptions
  readonly #query: Readonly<Record<string, string>>
  readonly #publisher = new Publisher()
  readonly #checks: CheckWatch
  readonly #abort = new AbortController()
  readonly #backoff = new Backoff(100, 5_000)
  /** By id. */
  #registrations = new Map<string, Registration>()
  /** By namespace and name, as Nomad has them. */
  #byService = new Map<string, Set<string>>()
  readonly #services = new Map<string, RegisteredService>()
  readonly #nodes = new Map<string, NomadNode>()
  /** The services with checks of each job; undefined as long as it is not known. */
  readonly #jobs = new Map<string, ReadonlySet<string> | undefined>()
  /** Newest index of registrations that was seen. */
  #index = 0
  #problem: string | undefined
  /** Services that were told to be left out. */
  readonly #leftOut = new Set<string>()
  readonly #running: Promise<void>

  constructor(options: NomadRegistryOptions) {
    this.#options = options
    const { client, namespace, region, logger } = options
    const regional: Readonly<Record<string, string>> = region === undefined ? {} : { region }
    this.#query = { ...regional, namespace }
    this.#checks = new CheckWatch({
      client,
      query: regional,
      logger,
      onChange: (allocation) => this.#allocationChanged(allocation),
    })
    this.#running = this.#run()
  }

  get contents(): RegistryContents {
    return this.#publisher.contents
  }

  get state(): RegistryState {
    return { synced: this.#publisher.synced, problem: this.#problem }
  }

  subscribe(listener: () => void): () => void {
    return this.#publisher.subscribe(listener)
  }

  async close(): Promise<void> {
    this.#publisher.close()
    this.#abort.abort()
    await Promise.all([this.#running, this.#checks.close()])
    this.#options.client.close()
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    const { logger } = this.#options
    while (!signal.aborted) {
      try {
        await this.#follow()
        // The stream ended in good order; all is read again, as events may have been missed.
      } catch (thrown) {
        if (signal.aborted) return
        const error = WeftError.from(thrown, 'unavailable')
        if (this.#problem === undefined) logger.warn(error.describe())
        this.#problem = error.describe()
      }
      await delay(this.#backoff.next(), undefined, { signal }).catch(() => undefined)
    }
  }

  async #follow(): Promise<void> {
    await this.#readAll()
    const { client, logger } = this.#options
    const abort = new AbortController()
    const signal = AbortSignal.any([abort.signal, this.#abort.signal])
    const failed = Promise.withResolvers<never>()
    failed.promise.catch(() => undefined)
    try {
      const query = { ...this.#query, index: String(this.#index + 1) }
      // Nomad takes several topics by the same name.
      const path = `/v1/event/stream?${topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join('&')}`
      const lines = client.lines(path, query, { signal, timeoutMs: streamTimeoutMs })
      let isLive = false
      const read = async (): Promise<void> => {
        for await (const line of lines) {
          await this.#takeEvents(line)
          if (isLive) continue
          isLive = true
          if (this.#problem !== undefined) logger.info('Nomad is followed again')
          this.#problem = undefined
          this.#backoff.reset()
          // What happened between the reading and the stream is in the stream, unless Nomad's buffer was too short for it.
          this.#makeSure(signal).catch(failed.reject)
        }
      }
      await Promise.race([read(), failed.promise])
    } finally {
      abort.abort()
    }
  }

  /** Throws when Nomad has counted changes that its events do not tell. */
  async #makeSure(signal: AbortSignal): Promise<void> {
    const { index } = await this.#get('/v1/services', this.#query)
    if (index <= this.#index) return
    await delay(lateEventsMs, undefined, { signal }).catch(() => undefined)
    if (index > this.#index && !signal.aborted) {
      throw new WeftError('unavailable', "Nomad's event stream began too late: registrations are read again", {
        hint: 'a larger event_buffer_size in the servers keeps more events',
      })
    }
  }

  async #readAll(): Promise<void> {
    const list = await this.#get('/v1/services', this.#query)
    const names = serviceListSchema
      .parse(list.body)
      .flatMap(({ Namespace, Services }) => Services.map(({ ServiceName }) => [Namespace, ServiceName] as const))
    const registrations = new Map<string, Registration>()
    await inParallel(names, async ([namespace, name]) => {
      const { body } = await this.#get(`/v1/service/${encodeURIComponent(name)}`, { ...this.#query, namespace })
      for (const registration of registrationsSchema.parse(body)) registrations.set(registration.ID, registration)
    })
    this.#index = list.index
    this.#nodes.clear()
    this.#jobs.clear()
    this.#registrations = registrations
    const before = this.#byService
    this.#byService = new Map()
    for (const registration of registrations.values()) this.#list(registration)
    await this.#learn()
    await this.#followChecks()
    if (this.#abort.signal.aborted) return
    for (const key of new Set([...before.keys(), ...this.#byService.keys()])) this.#assemble(key)
    this.#publish()
  }

  async #takeEvents(line: unknown): Promise<void> {
    const { Index, Events } = eventsSchema.parse(line)
    const touched = new Set<string>()
    for (const event of Events ?? []) this.#takeEvent(event, touched)
    if (touched.size > 0) {
      await this.#learn()
      if (this.#abort.signal.aborted) return
      void this.#followChecks()
      for (const key of touched) this.#assemble(key)
      this.#publish()
    }
    this.#index = Math.max(this.#index, Index)
  }

  #takeEvent({ Topic, Type, Key, Namespace, Payload }: NomadEvent, touched: Set<string>): void {
    if (Topic === 'Service') {
      const registration = registrationSchema.parse(Payload?.['Service'])
      const known = this.#registrations.get(registration.ID)
      // What is told twice, of the time before all was read.
      if (known !== undefined && known.ModifyIndex > registration.ModifyIndex) return
      if (known !== undefined) this.#unlist(known)
      if (Type === 'ServiceDeregistration') this.#registrations.delete(registration.ID)
      else {
        this.#registrations.set(registration.ID, registration)
        this.#list(registration)
      }
      touched.add(serviceId(registration))
    }
    if (Topic === 'Node') this.#forgetNode(Key, touched)
    if (Topic === 'Job') this.#forgetJob(`${Namespace}/${Key}`, touched)
  }

  #forgetNode(id: string, touched: Set<string>): void {
    if (!this.#nodes.delete(id)) return
    for (const registration of this.#registrations.values()) if (registration.NodeID === id) touched.add(serviceId(registration))
  }

  #forgetJob(key: string, touched: Set<string>): void {
    if (!this.#jobs.delete(key)) return
    for (const registration of this.#registrations.values())
      if (jobKey(registration) === key) touched.add(serviceId(registration))
  }

  #list(registration: Registration): void {
    const key = serviceId(registration)
    const ids = this.#byService.get(key)
    if (ids === undefined) this.#byService.set(key, new Set([registration.ID]))
    else ids.add(registration.ID)
  }

  #unlist(registration: Registration): void {
    const key = serviceId(registration)
    const ids = this.#byService.get(key)
    ids?.delete(registration.ID)
    if (ids?.size === 0) this.#byService.delete(key)
  }

  /** Reads what is not known yet of the nodes and jobs that registrations name. */
  async #learn(): Promise<void> {
    const nodes = new Set<string>()
    const jobs = new Map<string, Registration>()
    for (const registration of this.#registrations.values()) {
      if (registration.NodeID !== '' && !this.#nodes.has(registration.NodeID)) nodes.add(registration.NodeID)
      if (registration.JobID !== '' && !this.#jobs.has(jobKey(registration))) jobs.set(jobKey(registration), registration)
    }
    await Promise.all([
      inParallel([...nodes], (id) => this.#readNode(id)),
      inParallel([...jobs.values()], (registration) => this.#readJob(registration)),
    ])
  }

  /** Resolves when the checks of each allocation that is new were asked for. */
  async #followChecks(): Promise<void> {
    const checked = new Set<string>()
    for (const registration of this.#registrations.values()) if (this.#hasChecks(registration)) checked.add(registration.AllocID)
    await this.#checks.follow(checked)
  }

  async #readNode(id: string): Promise<void> {
    const { region } = this.#options
    const answer = await this.#getIfAllowed(`/v1/node/${encodeURIComponent(id)}`, region === undefined ? {} : { region })
    // A token that may not read nodes has their datacenter for locality.
    this.#nodes.set(id, answer === undefined ? { ID: id, Datacenter: '', Meta: {} } : nodeSchema.parse(answer.body))
  }

  async #readJob(registration: Registration): Promise<void> {
    const query = { ...this.#query, namespace: registration.Namespace }
    const answer = await this.#getIfAllowed(`/v1/job/${encodeURIComponent(registration.JobID)}`, query)
    const names = new Set<string>()
    for (const group of jobSchema.parse(answer?.body ?? {}).TaskGroups ?? []) {
      for (const service of [...(group.Services ?? []), ...(group.Tasks ?? []).flatMap((task) => task.Services ?? [])]) {
        if ((service.Checks ?? []).length > 0) names.add(service.Name)
      }
    }
    this.#jobs.set(jobKey(registration), names)
  }

  #hasChecks(registration: Registration): boolean {
    const names = this.#jobs.get(jobKey(registration))
    // Names may have variables in them, which Nomad has filled in at the registration.
    return names !== undefined && (names.has(registration.ServiceName) || [...names].some((name) => name.includes('${')))
  }

  #allocationChanged(allocation: string): void {
    if (!this.#publisher.synced) return
    for (const registration of this.#registrations.values()) {
      if (registration.AllocID === allocation) this.#assemble(serviceId(registration))
    }
    this.#publish()
  }

  #assemble(key: string): void {
    const facts: InstanceFacts[] = []
    let one: Registration | undefined
    for (const id of this.#byService.get(key) ?? []) {
      const registration = this.#registrations.get(id)
      if (registration === undefined) continue
      one = registration
      const fact = factsOf(registration, this.#nodes.get(registration.NodeID), this.#healthOf(registration))
      if (fact !== undefined) facts.push(fact)
    }
    if (one === undefined) {
      this.#services.delete(key)
      return
    }
    const { ServiceName: name, Namespace: namespace } = one
    if (!isDnsLabel(name) || !isDnsLabel(namespace)) {
      this.#leaveOut(key)
      return
    }
    const { mesh } = this.#options
    const isDynamic = (port: number): boolean => port >= dynamicPorts.least && port <= dynamicPorts.most
    const options = { name, namespace, origin: `nomad/${key}`, mesh, isDynamic }
    this.#services.set(key, assembleService(facts, options, this.#services.get(key)))
  }

  /** Names are taken as they are: two that differ in letters alone must not become one, with one identity. */
  #leaveOut(key: string): void {
    if (this.#leftOut.has(key)) return
    if (this.#leftOut.size < mostLeftOut) this.#leftOut.add(key)
    this.#options.logger.warn(
      { service: key },
      'a service of Nomad is left out: its name or namespace is no DNS label (RFC 1123)',
    )
  }

  #healthOf(registration: Registration): Health {
    if (!this.#hasChecks(registration)) return 'healthy'
    return this.#checks.passes(registration.AllocID, registration.ServiceName) ? 'healthy' : 'unhealthy'
  }

  #publish(): void {
    this.#publisher.publish(true, () => [...this.#services.values()])
  }

  async #get(path: string, query: Readonly<Record<string, string>>): Promise<PlatformAnswer & { index: number }> {
    const answer = await this.#options.client.get(path, query, { signal: this.#abort.signal, timeoutMs: answerTimeoutMs })
    const index = Number(answer.headers['x-nomad-index'])
    if (!Number.isSafeInteger(index) || index < 0) {
      throw new WeftError('unavailable', 'an answer without X-Nomad-Index is none of Nomad', { where: { path } })
    }
    return { ...answer, index }
  }

  /** Undefined where there is no such thing, or the token may not read it. */
  async #getIfAllowed(path: string, query: Readonly<Record<string, string>>): Promise<PlatformAnswer | undefined> {
    return await this.#get(path, query).catch((thrown: unknown) => {
      const error = WeftError.from(thrown)
      if (error.code === 'not_found' || error.code === 'permission_denied') return undefined
      throw error
    })
  }
}

function serviceId({ Namespace, ServiceName }: Registration): string {
  return `${Namespace}/${ServiceName}`
}

function jobKey({ Namespace, JobID }: Registration): string {
  return `${Namespace}/${JobID}`
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) await work(items[next++]!)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
}
