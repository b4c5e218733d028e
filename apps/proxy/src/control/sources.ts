import type { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { ApiConfigSource, type ConfigSource } from '@weft/contracts/envoy/config/core/v3/config_source'
import { WeftError } from '@weft/service/errors'
import { XdsStream } from '@weft/xds/client/stream'
import type { ReceivedResource, ResourceHandler } from '@weft/xds/client/subscription'
import type { ComponentLog } from '../log.ts'
import type { StatSource } from '../observe/stats.ts'
import { durationMs } from '../plan/duration.ts'
import { ControlPlaneStats } from './control-plane-stats.ts'
import { FileSource } from './file-source.ts'
import type { GrpcClients } from './grpc-clients.ts'
import { expandResource } from './validation/decode.ts'

/** Takes one named resource as it comes; gives the problems that refuse it. */
export interface NamedWatcher {
  receive(resource: ReceivedResource): Promise<string[]>
  /** The server says that there is no such resource (any more). */
  removed?(version: string): void
  /** An answer holds nothing at all. */
  empty(version: string): void
  /** An answer cannot be meant for it. */
  refused(reason: string): unknown
  /** It could not be fetched now; told each time. */
  failed?(reason: string): void
}

/** Where a subscription counts. */
export interface CountedAt {
  stats: StatSource
  /** What the names begin with: `cluster.reviews`. */
  prefix: string
}

/** An interest that can be given up. */
export interface Watch {
  close(): void
}

export interface SourcesOptions {
  /** `ads_config` of the bootstrap. */
  ads: ApiConfigSource | undefined
  node: Node
  clients: GrpcClients
  log: ComponentLog
  stats: StatSource
  /** Hears of fields in files that the API does not have; absent: they are refused. */
  unknown?: ((text: string) => void) | undefined
}

/** ApiConfigSource.ApiType, delta variants. */
const deltaTypes: ReadonlySet<number> = new Set([3, 5, 6])
const restType = 1

/** How long a first answer is waited for before one goes on without (`initial_fetch_timeout`); 0 waits for ever. */
export function initialFetchTimeoutMs(source: ConfigSource | undefined): number {
  return durationMs(source?.initialFetchTimeout, 15_000)
}

/** Where resources come from: ADS, gRPC services of one type, and files; by the ConfigSource that names them. */
export class ConfigSources {
  readonly #options: SourcesOptions
  #ads: XdsStream | undefined
  readonly #own = new Map<string, { streams: Set<XdsStream>; cluster: string }>()
  readonly #named = new Map<string, NamedSubscription>()
  readonly #closers = new Set<() => void>()

  constructor(options: SourcesOptions) {
    this.#options = options
  }

  /** All resources of a type (clusters, listeners). What TypedStructs in them hold stands in their places. */
  watchAll(source: ConfigSource, typeUrl: string, taker: ResourceHandler, counted: CountedAt): void {
    const handler = expanding(typeUrl, taker)
    const specifier = source.configSourceSpecifier
    switch (specifier?.$case) {
      case 'ads':
        this.#adsStream().subscribe(typeUrl, 'all', handler)
        return
      case 'apiConfigSource':
        this.#ownStream(specifier.value, typeUrl, counted).subscribe(typeUrl, 'all', handler)
        return
      case 'pathConfigSource':
      case 'path': {
        const file = new FileSource({
          ...fileOf(specifier),
          typeUrl,
          unknown: this.#options.unknown,
          receive: (version, resources) => void handler.receive({ version, resources, removed: [], whole: true }),
          failed: (error) => handler.disconnected?.(error.describe()),
        })
        this.#closers.add(() => file.close())
        return
      }
      default:
        throw new WeftError('invalid_argument', 'a config source needs ads, api_config_source or path_config_source')
    }
  }

  /** One resource by name. Those who ask for the same one by ADS share its fetching, and a late one gets the last answer at once. */
  watchNamed(source: ConfigSource, typeUrl: string, name: string, watcher: NamedWatcher, counted: CountedAt): Watch {
    const key = this.#keyOf(source, typeUrl, name, counted)
    let subscription = this.#named.get(key)
    if (subscription === undefined) {
      subscription = new NamedSubscription((handler) => this.#start(source, typeUrl, name, handler, counted))
      this.#named.set(key, subscription)
    }
    return subscription.add(name, watcher)
  }

  /** Streams to this cluster connect anew: its certificates changed. */
  reconnect(cluster: string, reason: string): void {
    this.#options.clients.forget(cluster)
    if (this.#ads !== undefined && this.#options.ads !== undefined && clusterOf(this.#options.ads) === cluster)
      this.#ads.reconnect(reason)
    for (const own of this.#own.values()) if (own.cluster === cluster) for (const stream of own.streams) stream.reconnect(reason)
  }

  /** Tells the control plane why the workload beside this proxy takes no requests, or with undefined that it does. */
  reportHealth(problem: string | undefined): void {
    this.#ads?.reportHealth(problem)
  }

  close(): void {
    this.#ads?.close()
    for (const { streams } of this.#own.values()) for (const stream of streams) stream.close()
    for (const close of this.#closers) close()
    this.#options.clients.close()
  }

  /** ADS takes all names of a type in one subscription; other sources have one for each name, as Envoy has. */
  #keyOf(source: ConfigSource, typeUrl: string, name: string, { prefix }: CountedAt): string {
    const specifier = source.configSourceSpecifier
    if (specifier?.$case === 'ads') return `ads ${typeUrl}`
    if (specifier?.$case === 'apiConfigSource')
      return `api ${typeUrl} ${name} ${prefix} ${Buffer.from(ApiConfigSource.encode(specifier.value).finish()).toString('base64')}`
    if (specifier?.$case === 'path' || specifier?.$case === 'pathConfigSource')
      return `file ${typeUrl} ${name} ${Object.values(fileOf(specifier)).join(' ')}`
    return `none ${typeUrl} ${name}`
  }

  #start(
    source: ConfigSource,
    typeUrl: string,
    name: string,
    taker: ResourceHandler,
    counted: CountedAt,
  ): (names: string[]) => void {
    const handler = expanding(typeUrl, taker)
    const specifier = source.configSourceSpecifier
    switch (specifier?.$case) {
      case 'ads': {
        const subscription = this.#adsStream().subscribe(typeUrl, [], handler)
        return (names) => subscription.setNames(names)
      }
      case 'apiConfigSource': {
        const stream = this.#ownStream(specifier.value, typeUrl, counted)
        const subscription = stream.subscribe(typeUrl, [name], handler)
        return (names) => subscription.setNames(names)
      }
      case 'path':
      case 'pathConfigSource':
        this.watchAll(source, typeUrl, taker, counted)
        return () => undefined
      default:
        throw new WeftError('invalid_argument', `${name}: a config source needs ads, api_config_source or path_config_source`)
    }
  }

  #adsStream(): XdsStream {
    const config = this.#options.ads
    if (config === undefined)
      throw new WeftError(
        'failed_precondition',
        'a config source says ads, but the bootstrap has no dynamic_resources.ads_config',
      )
    this.#ads ??= this.#newStream(config, 'aggregated', new ControlPlaneStats(this.#options.stats, ''))
    return this.#ads
  }

  #ownStream(config: ApiConfigSource, typeUrl: string, { stats, prefix }: CountedAt): XdsStream {
    const key = Buffer.from(ApiConfigSource.encode(config).finish()).toString('base64')
    let own = this.#own.get(key)
    if (own === undefined) {
      own = { streams: new Set(), cluster: clusterOf(config) }
      this.#own.set(key, own)
    }
    const stream = this.#newStream(config, typeUrl, new ControlPlaneStats(stats, `${prefix}.`))
    own.streams.add(stream)
    return stream
  }

  #newStream(config: ApiConfigSource, service: string, counts: ControlPlaneStats): XdsStream {
    const { node, clients, log } = this.#options
    const grpcService = config.grpcServices[0]
    if (config.apiType === restType || grpcService === undefined)
      throw new WeftError('unimplemented', 'an api_config_source needs api_type GRPC or DELTA_GRPC and a grpc_service')
    return new XdsStream({
      variant: deltaTypes.has(config.apiType) ? 'delta' : 'sotw',
      service,
      node,
      nodeOnFirstOnly: config.setNodeOnFirstMessageOnly,
      connect: () => clients.connect(grpcService),
      log: (level, message) => log[level](message),
      onConnected: (up, identifier) => counts.connected(up, identifier),
    })
  }
}

/** Hands resources on with what TypedStructs in them hold in their places. */
function expanding(typeUrl: string, handler: ResourceHandler): ResourceHandler {
  const expand = (resource: ReceivedResource): ReceivedResource => ({
    ...resource,
    bytes: expandResource(typeUrl.replace(/^.*\//, ''), resource.bytes),
  })
  return { ...handler, receive: (response) => handler.receive({ ...response, resources: response.resources.map(expand) }) }
}

/** One fetched set of named resources of a type, shared by those who watch names of it. */
class NamedSubscription {
  readonly #watchers = new Map<string, Set<NamedWatcher>>()
  readonly #last = new Map<string, ReceivedResource>()
  readonly #setNames: (names: string[]) => void

  constructor(start: (handler: ResourceHandler) => (names: string[]) => void) {
    this.#setNames = start({
      receive: async (response) => {
        // A file is of one resource, as in Envoy; what servers send beside what was asked for is nobody's.
        if (response.whole) {
          const [name = ''] = this.#watchers.keys()
          const problem = unfit(response.resources, name)
          const watchers = [...(this.#watchers.get(name) ?? [])]
          if (problem !== undefined) for (const watcher of watchers) watcher.refused(problem)
          else if (response.resources.length === 0) for (const watcher of watchers) watcher.empty(response.version)
          if (problem !== undefined) return [problem]
        }
        const problems: string[] = []
        const seen = new Set<string>()
        for (const resource of response.resources) {
          // Of two with one name the first counts, as in Envoy.
          if (seen.has(resource.name)) continue
          seen.add(resource.name)
          const watchers = this.#watchers.get(resource.name)
          if (watchers === undefined) continue
          const found = (await Promise.all([...watchers].map((watcher) => watcher.receive(resource)))).flat()
          if (found.length === 0) this.#last.set(resource.name, resource)
          problems.push(...new Set(found))
        }
        for (const name of response.removed) {
          this.#last.delete(name)
          for (const watcher of this.#watchers.get(name) ?? []) watcher.removed?.(response.version)
        }
        return problems
      },
      unreadable: (reason) => {
        for (const watchers of this.#watchers.values()) for (const watcher of watchers) watcher.refused(reason)
      },
      disconnected: (reason) => {
        for (const watchers of this.#watchers.values()) for (const watcher of watchers) watcher.failed?.(reason)
      },
    })
  }

  add(name: string, watcher: NamedWatcher): Watch {
    const watchers = this.#watchers.get(name) ?? new Set()
    watchers.add(watcher)
    this.#watchers.set(name, watchers)
    const last = this.#last.get(name)
    if (last !== undefined) void watcher.receive(last)
    if (watchers.size === 1) this.#setNames([...this.#watchers.keys()])
    return {
      close: () => {
        watchers.delete(watcher)
        if (watchers.size > 0 || this.#watchers.get(name) !== watchers) return
        this.#watchers.delete(name)
        this.#last.delete(name)
        this.#setNames([...this.#watchers.keys()])
      },
    }
  }
}

/** Why what a file holds is not the one resource that it is read for. */
function unfit(resources: readonly ReceivedResource[], name: string): string | undefined {
  const [first] = resources
  if (resources.length > 1) return `${name}: the file holds ${resources.length} resources, not one`
  return first === undefined || first.name === name ? undefined : `the file holds ${first.name}, not ${name}`
}

function fileOf(specifier: Extract<ConfigSource['configSourceSpecifier'], { $case: 'path' | 'pathConfigSource' }>): {
  path: string
  watchedDirectory: string
  pollMs: number
} {
  if (specifier.$case === 'path') return { path: specifier.value, watchedDirectory: '', pollMs: 0 }
  const { path, watchedDirectory, pollInterval } = specifier.value
  return { path, watchedDirectory: watchedDirectory?.path ?? '', pollMs: durationMs(pollInterval, 0) }
}

/** The cluster that an api_config_source is reached by; empty when it names none. */
export function clusterOf(config: ApiConfigSource): string {
  const target = config.grpcServices[0]?.targetSpecifier
  return target?.$case === 'envoyGrpc' ? target.value.clusterName : ''
}
