import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import { assembleService } from '../assemble-service.ts'
import { type InstanceFacts, isDnsLabel } from '../instance-facts.ts'
import type { PlatformAnswer, PlatformClient } from '../platform-client.ts'
import { Publisher } from '../publisher.ts'
import type { RegisteredService, Registry, RegistryContents, RegistryState } from '../registry.ts'
import { BlockingQuery, type Consistency } from './blocking-query.ts'
import { Crowd } from './crowd.ts'
import { DefaultProtocols } from './default-protocols.ts'
import { entriesSchema, factsOf, type HealthEntry, instanceKey } from './health-entry.ts'

export interface ConsulRegistryOptions {
  client: PlatformClient
  /** Of every query: the datacenter. */
  query: Readonly<Record<string, string>>
  consistency: Consistency
  /** At most so many services have a blocking query of their own. */
  watches: number
  /** Protocols are those of Consul's config entries where registrations say none. */
  entries: boolean
  mesh: MeshSettings
  logger: Logger
}

/** What is known of one name of Consul's catalog. */
interface Known {
  /** Undefined where the crowd follows it. */
  query: BlockingQuery | undefined
  /** Undefined until its first answer. */
  entries: readonly HealthEntry[] | undefined
  /** By namespace. */
  services: ReadonlyMap<string, RegisteredService>
}

const catalogSchema = z.record(z.string(), z.array(z.string()).nullable())
const sidecarKind = 'connect-proxy'

/** Follows Consul's catalog and the health of every service in it by blocking queries. */
export class ConsulRegistry implements Registry {
  readonly name = 'consul'
  readonly #options: ConsulRegistryOptions
  readonly #publisher = new Publisher()
  readonly #catalog: BlockingQuery
  readonly #crowd: Crowd
  readonly #protocols: DefaultProtocols | undefined
  readonly #known = new Map<string, Known>()
  /** Registered sidecars by `node/id` of what they stand beside. */
  readonly #sidecars = new Map<string, HealthEntry>()
  readonly #problems = new Map<string, WeftError>()
  #hasCatalog = false
  #closed = false

  constructor(options: ConsulRegistryOptions) {
    this.#options = options
    const { client, query, consistency } = options
    this.#catalog = new BlockingQuery({
      client,
      query,
      consistency,
      path: '/v1/catalog/services',
      onAnswer: (answer) => this.#takeCatalog(answer),
      onProblem: (problem) => this.#setProblem('catalog', problem),
    })
    this.#crowd = new Crowd({
      client,
      query,
      onAnswer: (name, body) => this.#takeHealth(name, body),
      onProblem: (problem) => this.#setProblem('crowd', problem),
    })
    if (!options.entries) return
    this.#protocols = new DefaultProtocols({
      ...{ client, query, consistency },
      onChange: () => {
        for (const [name, known] of this.#known) if (known.entries !== undefined) this.#assemble(name, known)
        this.#publish()
      },
      onProblem: (kind, problem) => this.#setProblem(`config ${kind}`, problem),
    })
  }

  get contents(): RegistryContents {
    return this.#publisher.contents
  }

  get state(): RegistryState {
    const [problem] = this.#problems.values()
    return { synced: this.#publisher.synced, problem: problem?.describe() }
  }

  subscribe(listener: () => void): () => void {
    return this.#publisher.subscribe(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#publisher.close()
    const queries = [...this.#known.values()].map(({ query }) => query?.close())
    await Promise.all([this.#catalog.close(), this.#crowd.close(), this.#protocols?.close(), ...queries])
    this.#options.client.close()
  }

  #takeCatalog({ body, headers }: PlatformAnswer): void {
    const names = new Set(Object.keys(catalogSchema.parse(body)).filter((name) => name !== 'consul'))
    if (names.size === 0 && this.#known.size > 0 && headers['x-consul-results-filtered-by-acls'] === 'true') {
      throw new WeftError('permission_denied', "Consul hides all services from Pilot's token", {
        hint: 'give it service_prefix "" and node_prefix "" with policy read; what was known stays in force',
      })
    }
    this.#hasCatalog = true
    for (const name of [...this.#known.keys()]) if (!names.has(name)) this.#forget(name)
    let watches = [...this.#known.values()].filter(({ query }) => query !== undefined).length
    for (const name of names) {
      if (this.#known.has(name)) continue
      if (!isDnsLabel(name)) {
        this.#options.logger.warn({ service: name }, 'a service of Consul is left out: its name is no DNS label (RFC 1123)')
      }
      const query = watches < this.#options.watches ? this.#follow(name) : undefined
      if (query !== undefined) watches += 1
      this.#known.set(name, { query, entries: undefined, services: new Map() })
    }
    this.#crowd.catalogChanged(new Set([...this.#known].filter(([, { query }]) => query === undefined).map(([name]) => name)))
    this.#publish()
  }

  #follow(name: string): BlockingQuery {
    const { client, query, consistency } = this.#options
    return new BlockingQuery({
      client,
      query,
      consistency,
      path: `/v1/health/service/${encodeURIComponent(name)}`,
      onAnswer: ({ body }) => this.#takeHealth(name, body),
      onProblem: (problem) => this.#setProblem(name, problem),
    })
  }

  #forget(name: string): void {
    const known = this.#known.get(name)
    this.#known.delete(name)
    this.#problems.delete(name)
    void known?.query?.close()
    this.#replaceSidecars(known?.entries ?? [], [])
  }

  #takeHealth(name: string, body: unknown): void {
    const known = this.#known.get(name)
    if (known === undefined || this.#closed) return
    const entries = entriesSchema.parse(body)
    this.#replaceSidecars(known.entries ?? [], entries)
    known.entries = entries
    this.#assemble(name, known)
    this.#publish()
  }

  /** What a sidecar stands beside is reached through it, or no longer. */
  #replaceSidecars(before: readonly HealthEntry[], after: readonly HealthEntry[]): void {
    const names = new Set<string>()
    const each = (entries: readonly HealthEntry[], visit: (key: string, entry: HealthEntry) => void): void => {
      for (const entry of entries) {
        const { Kind, Proxy: proxy } = entry.Service
        if (Kind !== sidecarKind || !proxy) continue
        visit(instanceKey(entry.Node.Node, proxy.DestinationServiceID), entry)
        names.add(proxy.DestinationServiceName)
      }
    }
    each(before, (key) => this.#sidecars.delete(key))
    each(after, (key, entry) => this.#sidecars.set(key, entry))
    for (const name of names) {
      const known = this.#known.get(name)
      if (known?.entries !== undefined) this.#assemble(name, known)
    }
  }

  #assemble(name: string, known: Known): void {
    const byNamespace = new Map<string, InstanceFacts[]>()
    for (const entry of known.entries ?? []) {
      if (entry.Service.Kind !== '') continue
      const sidecar = this.#sidecars.get(instanceKey(entry.Node.Node, entry.Service.ID))
      const facts = factsOf(entry, sidecar, this.#protocols?.of(name))
      if (facts === undefined) continue
      const list = byNamespace.get(facts.namespace)
      if (list === undefined) byNamespace.set(facts.namespace, [facts])
      else list.push(facts)
    }
    // Names are taken as they are: two that differ in letters alone must not become one.
    if (!isDnsLabel(name)) return
    // A service that lost its last instance is still in the catalog for a moment; it keeps its ports until it goes.
    if (byNamespace.size === 0) for (const namespace of known.services.keys()) byNamespace.set(namespace, [])
    const { mesh } = this.#options
    known.services = new Map(
      [...byNamespace].map(([namespace, facts]) => {
        const origin = `consul/${name}`
        return [namespace, assembleService(facts, { name, namespace, origin, mesh }, known.services.get(namespace))]
      }),
    )
  }

  #publish(): void {
    if (!this.#hasCatalog || this.#protocols?.isKnown === false) return
    const all = [...this.#known.values()]
    const isWhole = all.every(({ entries }) => entries !== undefined)
    this.#publisher.publish(isWhole, () => all.flatMap(({ services }) => [...services.values()]))
  }

  #setProblem(of: string, problem: WeftError | undefined): void {
    const { logger } = this.#options
    if (problem === undefined) {
      if (this.#problems.delete(of) && this.#problems.size === 0) logger.info('Consul is followed again')
      return
    }
    if (this.#problems.size === 0) logger.warn(problem.describe())
    this.#problems.set(of, problem)
  }
}
