import type { VirtualHost } from '@weft/contracts/envoy/config/route/v3/route_components'
import type { RequestHead } from '@weft/http/message'
import type { Counter, Stats } from '../observe/stats.ts'
import { invalid } from '../plan/problems.ts'
import { compileHeaderMatcher, type HeadMatcher } from './matchers/header-matcher.ts'

/** What is counted for requests of a virtual host that its headers put together: `vhost.HOST.vcluster.NAME.upstream_rq_…`. */
export class VirtualCluster {
  /** Empty: what belongs to none that is named. */
  readonly name: string
  private readonly prefix: string
  private readonly matchers: readonly HeadMatcher[]
  private stats: Stats | null = null
  private readonly counters = new Map<string, Counter>()

  constructor(host: string, name: string, matchers: readonly HeadMatcher[]) {
    this.name = name
    this.prefix = `vhost.${host}.vcluster.${name === '' ? 'other' : name}.upstream_rq_`
    this.matchers = matchers
  }

  matches(request: RequestHead): boolean {
    return this.matchers.every((matches) => matches(request))
  }

  /** Its counters are there, at zero, from the first request on. */
  use(stats: Stats): void {
    if (this.stats === stats) return
    this.stats = stats
    this.counters.clear()
    for (const name of always) this.counters.set(name, stats.counter(this.prefix + name))
  }

  inc(name: string): void {
    let counter = this.counters.get(name)
    if (counter === undefined && this.stats !== null) {
      counter = this.stats.counter(this.prefix + name)
      this.counters.set(name, counter)
    }
    counter?.inc()
  }

  response(status: number): void {
    this.inc('completed')
    this.inc(`${Math.floor(status / 100)}xx`)
    this.inc(String(status))
  }
}

const always = ['total', 'retry', 'retry_success', 'retry_overflow', 'retry_limit_exceeded', 'timeout']

/** Compiles virtual_clusters, the one for all others last; null: there are none. */
export function compileVirtualClusters(source: VirtualHost, path: string): readonly VirtualCluster[] | null {
  if (source.virtualClusters.length === 0) return null
  const named = source.virtualClusters.map(({ name, headers }, i) => {
    const at = `${path}.virtual_clusters[${i}]`
    if (headers.length === 0) throw invalid(at, "virtual clusters must define 'headers'")
    return new VirtualCluster(
      source.name,
      name,
      headers.map((matcher, k) => compileHeaderMatcher(matcher, `${at}.headers[${k}]`)),
    )
  })
  return [...named, new VirtualCluster(source.name, '', [])]
}
