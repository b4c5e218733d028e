import { WeftError } from '@weft/service/errors'
import type { BootstrapSettings } from '../bootstrap/settings.ts'
import type { ProxyFlags } from '../flags.ts'
import type { ProxyLog } from '../log.ts'
import { Stats } from '../observe/stats.ts'
import { StatsReader } from '../observe/stats-reader.ts'
import { Runtime, type RuntimeValues } from '../plan/runtime.ts'
import { limitPrograms } from '../routing/matchers/regex.ts'
import { ProcessState } from '../shared/process-state.ts'
import { TokenBuckets } from '../shared/token-buckets.ts'
import { EndpointSlab } from '../upstream/endpoint-slab.ts'
import { Clusters } from './clusters.ts'
import { clusterTls, controlPlaneClusters } from './control-plane-clusters.ts'
import { Discovery } from './discovery.ts'
import { createExtensions, type Extensions } from './extensions.ts'
import { GrpcClients } from './grpc-clients.ts'
import { HealthChecks } from './health-checks/health-checks.ts'
import { Listeners } from './listeners.ts'
import { Outliers } from './outlier.ts'
import { OutlierEventLog } from './outlier-events.ts'
import { OverloadManager } from './overload/overload-manager.ts'
import { createRoutes, type Routes } from './routes.ts'
import { fetchRuntimeLayers } from './runtime-discovery.ts'
import { RuntimeLayers } from './runtime-layers.ts'
import { Secrets } from './secrets.ts'
import { ConfigSources } from './sources.ts'
import { type WorkerFactory, Workers } from './workers.ts'

/** How many endpoints and circuit breakers count in shared memory; what is more goes uncounted. */
const slabSlots = 65_535

/** How many rate limits the workers keep together; what is more each keeps for itself. */
const maxTokenBuckets = 8_192

/** How many kinds of warnings are told apart. */
const mostWarnings = 1_000

/** What the server is doing, in the words of `/server_info`. */
export type ServerState = 'PRE_INITIALIZING' | 'INITIALIZING' | 'LIVE' | 'DRAINING'

export interface ControlOptions {
  settings: BootstrapSettings
  flags: ProxyFlags
  log: ProxyLog
  workerFactory: WorkerFactory
}

/**
 * The main thread's side of a proxy: everything that fetches, checks, orders and hands to the workers. The order of a start
 * is that of dependencies: secrets, clusters, endpoints, then listeners and routes.
 */
export class Control {
  readonly settings: BootstrapSettings
  readonly flags: ProxyFlags
  readonly log: ProxyLog
  readonly startedAt = new Date()
  readonly reader = new StatsReader()
  readonly stats: Stats
  readonly slab = new EndpointSlab(slabSlots)
  readonly workers: Workers
  readonly runtime: RuntimeLayers
  /** The merged runtime, for what the main thread does itself. */
  readonly runtimeValues = new Runtime()
  readonly sources: ConfigSources
  readonly secrets: Secrets
  readonly clusters: Clusters
  readonly healthChecks: HealthChecks
  readonly outliers: Outliers
  /** null: nobody asks for it. */
  readonly outlierEvents: OutlierEventLog | null
  readonly routes: Routes
  readonly extensions: Extensions
  readonly listeners: Listeners
  cds: Discovery | undefined
  lds: Discovery | undefined
  overload: OverloadManager | undefined
  /** `/healthcheck/fail` is noted here, where all threads see it. */
  readonly processState = new ProcessState()
  #state: ServerState = 'PRE_INITIALIZING'
  readonly #warned = new Set<string>()

  constructor(options: ControlOptions) {
    const { settings, flags, log } = options
    this.settings = settings
    this.flags = flags
    this.log = log
    this.stats = new Stats((message) => this.reader.accept(-1, message))
    const config = log.of('config')
    const node = settings.node
    this.workers = new Workers({
      concurrency: flags.concurrency,
      init: {
        node: {
          id: node.id,
          cluster: node.cluster,
          metadata: node.metadata ?? {},
          locality: node.locality ?? { region: '', zone: '', subZone: '' },
        },
        endpointSlab: this.slab.buffer,
        processState: this.processState.buffer,
        tokenBuckets: new TokenBuckets(maxTokenBuckets).buffer,
        drainTimeMs: flags.drainTimeMs,
        logLevel: flags.logLevel,
        localCluster: settings.localCluster,
      },
      log: log.of('worker'),
      onLog: (level, message, fields) => {
        const known = level === 'warn' ? 'warning' : level === 'fatal' ? 'critical' : level
        const shown = Object.keys(fields).length === 0 ? message : `${message} ${JSON.stringify(fields)}`
        log.write('worker', isLevel(known) ? known : 'info', shown)
      },
      stats: this.reader,
      factory: options.workerFactory,
    })
    const takeRuntime = (values: RuntimeValues): void => {
      this.runtimeValues.replace(values)
      limitPrograms(values)
      this.workers.setRuntime(values)
    }
    this.runtime = new RuntimeLayers(settings.runtime, {
      serviceCluster: node.cluster,
      changed: takeRuntime,
      stats: this.stats,
      log: log.of('runtime'),
    })
    takeRuntime(this.runtime.values())
    this.sources = new ConfigSources({
      ads: settings.dynamic?.adsConfig,
      node,
      clients: new GrpcClients(controlPlaneClusters(() => this)),
      log: config,
      stats: this.stats,
      unknown: flags.rejectUnknownDynamicFields ? undefined : (text) => this.#warnOnce(text),
    })
    const publish = this.workers.publish.bind(this.workers)
    this.secrets = new Secrets({
      sources: this.sources,
      stats: this.stats,
      publish,
      changed: (name) => {
        for (const cluster of this.clusters.usersOf(name)) this.sources.reconnect(cluster, `secret ${name} changed`)
      },
      log: log.of('secret'),
    })
    const healthFailed = (cluster: string, endpoint: string): void => {
      if (this.clusters.get(cluster)?.message.closeConnectionsOnHostHealthFailure === true)
        this.workers.healthFailed(cluster, endpoint)
    }
    const runtimeNumber = (key: string, fallback: number): number => this.runtimeValues.number(key, fallback)
    this.outlierEvents = settings.outlierEventLog === '' ? null : new OutlierEventLog(settings.outlierEventLog)
    this.outliers = new Outliers({
      slab: this.slab,
      stats: this.stats,
      log: log.of('upstream'),
      runtime: runtimeNumber,
      ejected: healthFailed,
      ...(this.outlierEvents === null ? {} : { event: (event) => this.outlierEvents?.write(event) }),
    })
    this.healthChecks = new HealthChecks({
      slab: this.slab,
      stats: this.stats,
      tlsOf: clusterTls(this.secrets.store),
      failed: (cluster, endpoint) => {
        healthFailed(cluster, endpoint)
        this.clusters.checkFailed(cluster)
      },
      passed: (cluster, endpoint) => this.outliers.passedCheck(cluster, endpoint),
      runtime: runtimeNumber,
      log: log.of('hc'),
    })
    this.clusters = new Clusters({
      sources: this.sources,
      secrets: this.secrets,
      slab: this.slab,
      stats: this.stats,
      defaults: settings.clusterDefaults,
      publish,
      endpointsChanged: (cluster) => {
        this.healthChecks.follow(cluster)
        this.outliers.follow(cluster)
      },
      firstChecked: ({ name }) => this.healthChecks.firstChecked(name),
      removed: ({ name }) => {
        this.healthChecks.forget(name)
        this.outliers.forget(name)
      },
      log: log.of('upstream'),
    })
    this.routes = createRoutes({
      sources: this.sources,
      stats: this.stats,
      publish,
      clustersSettled: () => this.clusters.settled(),
      hasCluster: (name) => this.clusters.has(name),
      log: config,
    })
    this.extensions = createExtensions({ sources: this.sources, stats: this.stats, publish, log: config })
    this.listeners = new Listeners({
      extensions: this.extensions,
      secrets: this.secrets,
      routes: this.routes,
      stats: this.stats,
      publish,
      clustersSettled: () => this.clusters.settled(),
      clustersWarming: () => this.clusters.warming().length > 0,
      hasCluster: (name) => this.clusters.has(name),
      drainTimeMs: flags.drainTimeMs,
      log: config,
    })
  }

  get state(): ServerState {
    return this.#state
  }

  set state(state: ServerState) {
    this.#state = state
    this.stats.gauge('server.state').set(['LIVE', 'DRAINING', 'PRE_INITIALIZING', 'INITIALIZING'].indexOf(state))
    this.stats.gauge('server.live').set(state === 'LIVE' ? 1 : 0)
  }

  /** Brings everything up. Rejects when a static listener cannot be opened. */
  async start(): Promise<void> {
    const { settings, flags } = this
    this.#countServer()
    if (settings.overload !== undefined) {
      const { processState: state, stats } = this
      this.overload = new OverloadManager(settings.overload, { state, stats, log: this.log.of('main') })
    }
    this.state = 'PRE_INITIALIZING'
    for (const secret of settings.secrets) this.secrets.addStatic(secret)
    for (const cluster of settings.clusters) this.clusters.add(cluster, 'static')
    const runtimeSources = { sources: this.sources, runtime: this.runtime, stats: this.stats, log: this.log.of('runtime') }
    await fetchRuntimeLayers(settings.runtime, runtimeSources)
    const dynamic = settings.dynamic
    const common = {
      sources: this.sources,
      stats: this.stats,
      rejectUnknown: flags.rejectUnknownDynamicFields,
      warn: (text: string) => this.#warnOnce(text),
      log: this.log.of('config'),
    }
    this.state = 'INITIALIZING'
    if (dynamic?.cdsConfig !== undefined) {
      this.cds = new Discovery({
        ...common,
        kind: 'cluster',
        source: dynamic.cdsConfig,
        taker: {
          bytesOf: (name) => this.clusters.bytesOf(name),
          isStatic: (name) => this.clusters.isStatic(name),
          names: () => this.clusters.names('dynamic'),
          add: async (resource) => {
            this.clusters.add(resource, 'dynamic')
            return []
          },
          remove: (name) => this.clusters.remove(name),
        },
      })
      await this.cds.answered
    }
    await this.clusters.settled()
    for (const listener of settings.listeners) {
      const problems = await this.listeners.add(listener, 'static')
      if (problems.length > 0) throw new WeftError('unavailable', problems.join('; '))
    }
    if (dynamic?.ldsConfig !== undefined) {
      this.lds = new Discovery({
        ...common,
        kind: 'listener',
        source: dynamic.ldsConfig,
        taker: {
          bytesOf: (name) => this.listeners.bytesOf(name),
          isStatic: (name) => this.listeners.names('static').includes(name),
          names: () => this.listeners.names('dynamic'),
          add: (resource) => this.listeners.add(resource, 'dynamic'),
          remove: (name) => this.listeners.remove(name),
        },
      })
      await this.lds.answered
    }
    await this.listeners.settled()
    this.stats.gauge('listener_manager.workers_started').set(1)
    this.state = 'LIVE'
    this.stats.histogram('server.initialization_time_ms').record(Math.round(performance.now()))
  }

  /** What `/healthcheck/fail` and `/healthcheck/ok` set: whether the proxy says that it is ready. */
  get healthCheckFailed(): boolean {
    return this.processState.healthCheckFailed
  }

  failHealthChecks(failed: boolean): void {
    this.processState.healthCheckFailed = failed
    this.stats.gauge('server.live').set(!failed && this.#state === 'LIVE' ? 1 : 0)
  }

  /** Stops accepting at once, or (graceful) asks connections to end first and stops when the drain time is over. */
  drainListeners(how: { graceful: boolean; skipExit: boolean; inboundOnly: boolean }): void {
    const drain = (): void => this.workers.drain('all', how.inboundOnly)
    if (!how.graceful) drain()
    else if (!how.skipExit) setTimeout(drain, this.flags.drainTimeMs).unref()
  }

  /** Opens the log and all that is logged anew, after files were moved away. */
  reopenLogs(): void {
    this.log.reopen()
    this.outlierEvents?.reopen()
    this.workers.reopenLogs()
  }

  /**
   * Closes everything. For at most `graceMs`, requests in flight are finished, and clients of connections that wait for a
   * request get to know with its answer that it was the last: those that ask for nothing for half a second don't count.
   */
  async stop(graceMs: number): Promise<void> {
    this.state = 'DRAINING'
    this.workers.drain('all', false)
    const began = performance.now()
    const end = began + graceMs
    let quietSince = began
    let seen = ''
    for (let now = began; now < end; now = performance.now()) {
      const { connections, requests, served } = this.#traffic()
      if (served !== seen) quietSince = now
      seen = served
      if (requests === 0 && now - began >= Math.min(settledMs, graceMs) && (connections === 0 || now - quietSince >= quietMs))
        break
      await new Promise<void>((resolve) => setTimeout(resolve, 25))
    }
    this.overload?.close()
    this.runtime.close()
    this.listeners.close()
    this.healthChecks.close()
    this.outliers.close()
    this.outlierEvents?.close()
    this.clusters.close()
    this.routes.close()
    this.extensions.close()
    this.secrets.close()
    this.sources.close()
    await this.workers.stop()
  }

  /** Tells what is odd in a fetched resource: the first time of its kind for all to see, again for those who look close. */
  #warnOnce(text: string): void {
    if (this.flags.ignoreUnknownDynamicFields) return
    const kind = text.slice(text.lastIndexOf(': '))
    const known = this.#warned.has(kind)
    if (!known && this.#warned.size < mostWarnings) this.#warned.add(kind)
    if (known) this.log.of('config').debug(text)
    else this.log.of('config').info(text)
  }

  /** What is open and under way, and a word that changes with all that comes. */
  #traffic(): { connections: number; requests: number; served: string } {
    let connections = 0
    let requests = 0
    let served = 0
    for (const stat of this.reader.all()) {
      if (stat.kind === 'gauge' && /^http\..*\.downstream_rq_active$/.test(stat.name)) requests += stat.value
      else if (stat.kind === 'gauge' && /^listener\..*\.downstream_cx_active$/.test(stat.name)) connections += stat.value
      else if (stat.kind === 'counter' && /^(?:http|listener)\..*\.downstream_(?:rq|cx)_total$/.test(stat.name))
        served += stat.value
    }
    return { connections, requests, served: String(served) }
  }

  #countServer(): void {
    this.stats.gauge('server.concurrency').set(this.flags.concurrency)
    this.stats.gauge('server.hot_restart_epoch').set(this.flags.restartEpoch)
    if (!this.flags.disableHotRestart) this.stats.gauge('server.hot_restart_generation').set(1)
  }
}

/** Until when connections that were begun have come in (see LiveListener.drain), and when one that says nothing is idle. */
const settledMs = 300
const quietMs = 500

function isLevel(word: string): word is 'trace' | 'debug' | 'info' | 'warning' | 'error' | 'critical' {
  return ['trace', 'debug', 'info', 'warning', 'error', 'critical'].includes(word)
}
