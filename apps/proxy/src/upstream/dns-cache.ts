import { isIP } from 'node:net'
import type { DnsCacheConfig } from '@weft/contracts/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache'
import { createResolve, type Resolve, type Resolved, resolveByFamily } from '../control/dns-resolver.ts'
import type { Counter, Gauge, Stats } from '../observe/stats.ts'
import { dnsServersOf } from '../plan/dns-servers.ts'
import { durationMs } from '../plan/duration.ts'
import { Timeout } from '../transport/timer-wheel.ts'
import type { WorkerServices } from '../worker-services.ts'

/** A name that requests brought along, and what it was resolved to. */
export interface DnsHost {
  /** `name:port`. */
  readonly key: string
  readonly port: number
  /** An IP address; null: there is none (yet). */
  readonly address: string | null
  /** Why there is none, as response code details have it. */
  readonly problem: string
}

/** Filter state that names where a request or a connection goes, in place of its authority or server name. */
export const dynamicHost = 'envoy.upstream.dynamic_host'
export const dynamicPort = 'envoy.upstream.dynamic_port'
/** Filter state that tells where it goes, `ip:port`. */
export const upstreamAddress = 'envoy.stream.upstream_address'

/** Where it goes: as filter state says, else `named`; the port is null where that is not said apart. */
export function targetOf(state: ReadonlyMap<string, unknown> | undefined, named: string): { host: string; port: number | null } {
  const host = state?.get(dynamicHost)
  const port = Number(state?.get(dynamicPort))
  return { host: typeof host === 'string' ? host : named, port: port > 0 && port <= 65_535 ? port : null }
}

/** Cluster.DnsLookupFamily. */
const families = { v4Only: 1, v6Only: 2 } as const
const notFound = 'cares_norecords:Domain_name_not_found'
const malformed = 'cares_failure:Misformatted_domain_name'
const timedOut = 'resolve_timeout'
const failed = 'cares_failure:Could_not_contact_DNS_servers'

/** A name and a port as an authority has them; `defaultPort` where it names none. */
export function hostAndPort(authority: string, defaultPort: number): { host: string; port: number } {
  const [, host = '', port = ''] = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(authority) ?? []
  if (port !== '' && Number(port) <= 65_535) return { host: bare(host), port: Number(port) }
  return { host: bare(authority), port: defaultPort }
}

function bare(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}

/**
 * The DNS cache of dynamic forward proxies, in one worker: names that requests bring along are resolved when they are first
 * met, looked at again now and then, and dropped when nobody has asked for an interval.
 */
export class DnsCache {
  private readonly hosts = new Map<string, Entry>()
  private readonly services: WorkerServices
  private readonly ask: Resolve
  private readonly family: number
  private readonly maxHosts: number
  private readonly maxPending: number
  private readonly times: Record<'refresh' | 'leastRefresh' | 'failure' | 'longestFailure' | 'keep' | 'query', number>
  private readonly stats: DnsCacheStats
  private readonly gone = new Set<(key: string) => void>()
  private pending = 0
  users = 0

  /** `ask`: instead of the servers that the configuration names. */
  constructor(config: DnsCacheConfig, services: WorkerServices, stats: Stats, ask?: Resolve) {
    const { dnsFailureRefreshRate: failure } = config
    this.services = services
    this.ask = ask ?? createResolve(dnsServersOf(config.typedDnsResolverConfig, `DNS cache ${config.name}`), true)
    this.family = config.dnsLookupFamily
    this.maxHosts = config.maxHosts ?? 1024
    this.maxPending = config.dnsCacheCircuitBreaker?.maxPendingRequests ?? 1024
    const refresh = durationMs(config.dnsRefreshRate, 60_000)
    const base = failure === undefined ? refresh : durationMs(failure.baseInterval, 1_000)
    this.times = {
      refresh,
      leastRefresh: durationMs(config.dnsMinRefreshRate, 5_000),
      failure: base,
      longestFailure: failure === undefined ? refresh : durationMs(failure.maxInterval, 10 * base),
      keep: durationMs(config.hostTtl, 300_000),
      query: durationMs(config.dnsQueryTimeout, 5_000),
    }
    this.stats = new DnsCacheStats(`dns_cache.${config.name}.`, stats)
    if ((services.workerIndex ?? 0) === 0) this.stats.pendingRemaining.add(this.maxPending)
    for (const { address, portSpecifier } of config.preresolveHostnames)
      this.start(address, portSpecifier?.$case === 'portValue' ? portSpecifier.value : 0)
  }

  /** One more request waits for a name; false: as many do as may. `release` when it waits no longer. */
  take(): boolean {
    if (this.pending >= this.maxPending) {
      this.stats.pendingOverflow.inc()
      return false
    }
    this.pending++
    this.stats.pendingRemaining.dec()
    return true
  }

  release(): void {
    this.pending--
    this.stats.pendingRemaining.inc()
  }

  /** What is known of a name; null: it has not been resolved, or is not in the cache. */
  find(host: string, port: number): DnsHost | null {
    const entry = this.hosts.get(keyOf(host, port))
    if (entry === undefined || !entry.resolved) return null
    entry.usedMs = performance.now()
    return entry
  }

  /** As `find`, but has the name resolved; `heard` is told then, unless the function that is given back was called before. */
  load(host: string, port: number, heard: (found: DnsHost) => void): DnsHost | 'overflow' | (() => void) {
    const known = this.find(host, port)
    if (known !== null) return known
    let entry = this.hosts.get(keyOf(host, port))
    if (entry === undefined && this.hosts.size >= this.maxHosts) {
      this.stats.hostOverflow.inc()
      return 'overflow'
    }
    entry ??= this.start(host, port)
    if (entry.resolved) return entry
    entry.waiting.add(heard)
    return () => entry.waiting.delete(heard)
  }

  /** `hears` is told of names that are dropped. */
  onGone(hears: (key: string) => void): () => void {
    this.gone.add(hears)
    return () => this.gone.delete(hears)
  }

  close(): void {
    for (const entry of this.hosts.values()) this.drop(entry)
  }

  private start(host: string, port: number): Entry {
    const entry = new Entry(host, port, () => this.again(entry))
    this.hosts.set(entry.key, entry)
    this.stats.hostAdded.inc()
    this.stats.hosts.inc()
    this.resolve(entry)
    return entry
  }

  /** It is time to look at a name: whether anybody still asks for it, and what it is now. */
  private again(entry: Entry): void {
    if (performance.now() - entry.usedMs <= this.times.keep) this.resolve(entry)
    else this.drop(entry)
  }

  private drop(entry: Entry): void {
    this.services.timers.cancel(entry.timeout)
    this.hosts.delete(entry.key)
    entry.waiting.clear()
    this.stats.hostRemoved.inc()
    this.stats.hosts.dec()
    for (const hears of this.gone) hears(entry.key)
  }

  private resolve(entry: Entry): void {
    this.stats.attempt.inc()
    const known = this.withoutAsking(entry.host)
    if (known !== null) this.note(entry, known)
    else void this.query(entry.host).then((answer) => this.hosts.get(entry.key) === entry && this.note(entry, answer))
  }

  private note(entry: Entry, answer: Answer): void {
    const { stats } = this
    const address = 'problem' in answer ? undefined : answer.addresses[0]
    if ('problem' in answer) {
      ;(answer.problem === timedOut ? stats.timeout : stats.failure).inc()
      entry.failures++
    } else {
      stats.success.inc()
      entry.failures = 0
    }
    if (address !== undefined && address !== entry.address) {
      entry.address = address
      stats.addressChanged.inc()
    }
    // An address stays until there is another.
    entry.problem = 'problem' in answer ? answer.problem : address === undefined ? notFound : ''
    entry.resolved = true
    this.services.timers.arm(entry.timeout, 'problem' in answer ? this.backOffMs(entry) : this.refreshMs(answer))
    const waiting = [...entry.waiting]
    entry.waiting.clear()
    for (const heard of waiting) heard(entry)
  }

  private refreshMs({ addresses, ttlMs }: Resolved): number {
    const { refresh, leastRefresh } = this.times
    return addresses.length === 0 || ttlMs === undefined ? refresh : Math.max(ttlMs, leastRefresh)
  }

  private backOffMs({ failures }: Entry): number {
    const { failure, longestFailure } = this.times
    return failure >= longestFailure
      ? failure
      : Math.max(1, Math.random() * Math.min(failure * 2 ** Math.min(failures, 30), longestFailure))
  }

  /** What an address comes to, and what is no name; null: it is a name. */
  private withoutAsking(host: string): Answer | null {
    const version = isIP(host)
    if (version !== 0) {
      const other = version === 4 ? families.v6Only : families.v4Only
      return this.family === other ? { problem: malformed } : { addresses: [host], ttlMs: undefined }
    }
    return /^[\w-]+(\.[\w-]+)*\.?$/.test(host) && host.length <= 253 ? null : { problem: malformed }
  }

  private async query(host: string): Promise<Answer> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<{ problem: string }>((resolve) => {
      timer = setTimeout(() => resolve({ problem: timedOut }), this.times.query)
    })
    try {
      return await Promise.race([resolveByFamily(this.ask, host, this.family), late])
    } catch {
      return { problem: failed }
    } finally {
      clearTimeout(timer)
    }
  }
}

/** `problem`: why there is no answer. */
type Answer = Resolved | { problem: string }

class Entry implements DnsHost {
  readonly key: string
  readonly host: string
  readonly port: number
  readonly timeout: Timeout
  readonly waiting = new Set<(found: DnsHost) => void>()
  address: string | null = null
  problem = ''
  /** An answer has come, if only that there is none. */
  resolved = false
  failures = 0
  usedMs = performance.now()

  constructor(host: string, port: number, due: () => void) {
    this.host = host
    this.port = port
    this.key = keyOf(host, port)
    this.timeout = new Timeout(due)
  }
}

class DnsCacheStats {
  readonly attempt: Counter
  readonly success: Counter
  readonly failure: Counter
  readonly timeout: Counter
  readonly hostAdded: Counter
  readonly hostRemoved: Counter
  readonly hostOverflow: Counter
  readonly addressChanged: Counter
  readonly pendingOverflow: Counter
  readonly hosts: Gauge
  readonly pendingRemaining: Gauge

  constructor(prefix: string, stats: Stats) {
    const counter = (name: string) => stats.counter(`${prefix}${name}`)
    this.attempt = counter('dns_query_attempt')
    this.success = counter('dns_query_success')
    this.failure = counter('dns_query_failure')
    this.timeout = counter('dns_query_timeout')
    this.hostAdded = counter('host_added')
    this.hostRemoved = counter('host_removed')
    this.hostOverflow = counter('host_overflow')
    this.addressChanged = counter('host_address_changed')
    this.pendingOverflow = counter('dns_rq_pending_overflow')
    for (const unused of ['cache_load', 'dns_address_filter_out']) counter(unused)
    this.hosts = stats.gauge(`${prefix}num_hosts`)
    this.pendingRemaining = stats.gauge(`${prefix}circuit_breakers.rq_pending_remaining`)
    stats.gauge(`${prefix}circuit_breakers.rq_pending_open`)
  }
}

function keyOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host.toLowerCase()}:${port}`
}

const caches = new WeakMap<WorkerServices, Map<string, DnsCache>>()

/** The worker's cache of that name, made by whoever is first to use it; what is given back with it says that it is used no longer. */
export function useDnsCache(config: DnsCacheConfig, services: WorkerServices, stats: Stats): { cache: DnsCache; leave(): void } {
  const named = caches.get(services) ?? new Map<string, DnsCache>()
  caches.set(services, named)
  const cache = named.get(config.name) ?? new DnsCache(config, services, stats)
  named.set(config.name, cache)
  cache.users++
  return {
    cache,
    leave() {
      if (--cache.users > 0) return
      cache.close()
      if (named.get(config.name) === cache) named.delete(config.name)
    },
  }
}
