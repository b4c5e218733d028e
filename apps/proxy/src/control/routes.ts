import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import type { ResourceError, ResourceUpdate } from '../threads.ts'
import { type DatedResource, type Fetched, FetchedResources, isRepeated } from './fetched-resources.ts'
import { type CheckedResource, checkedResource, type RouteReference } from './resource.ts'
import { checkFetchedClusters } from './route-clusters.ts'
import type { ConfigSources } from './sources.ts'

export interface RoutesOptions {
  sources: ConfigSources
  stats: Stats
  publish(resources: ResourceUpdate[]): Promise<ResourceError[]>
  /** Resolves when the clusters that came before are live, so that a route never leads to one that is not yet there. */
  clustersSettled(): Promise<void>
  hasCluster(name: string): boolean
  log: ComponentLog
}

/** Route configurations that listeners fetch by RDS. */
export type Routes = FetchedResources<RouteReference, DatedResource>

/** Nothing fetched yet. */
export function createRoutes({ sources, stats, publish, clustersSettled, hasCluster, log }: RoutesOptions): Routes {
  /** A route goes live after the clusters that came before it. */
  const goLive = async (entry: Fetched<RouteReference, DatedResource>, resource: CheckedResource): Promise<void> => {
    await clustersSettled()
    if (entry.dropped || entry.state?.resource !== resource) return
    const errors = await publish([{ kind: 'route', name: entry.name, bytes: resource.bytes }])
    for (const error of errors) log.error(`route ${entry.name} was refused by a worker: ${error.message}`)
    entry.ready.resolve()
  }
  return new FetchedResources({
    typeUrl: typeUrls.route,
    noun: 'route',
    api: 'RDS',
    sources,
    stats,
    log,
    statPrefix: ({ name, statPrefix }) => `http.${statPrefix}.rds.${name}`,
    opened: ({ prefix, stats: counted }) => {
      counted.counter(`${prefix}.config_reload`)
      counted.gauge(`${prefix}.config_reload_time_ms`)
      counted.counter(`${prefix}.update_empty`)
    },
    take: (entry, received) => {
      if (isRepeated(entry.state, received)) return
      const resource = checkedResource('route', entry.name, received.version, received.bytes)
      checkFetchedClusters(received.bytes, hasCluster)
      entry.state = { resource, updatedAt: new Date() }
      void goLive(entry, resource)
      entry.stats.counter(`${entry.prefix}.config_reload`).inc()
      entry.stats.gauge(`${entry.prefix}.config_reload_time_ms`).set(Date.now())
    },
    empty: ({ prefix, stats: counted }) => counted.counter(`${prefix}.update_empty`).inc(),
    dropped: ({ name }) => void publish([{ kind: 'route', name, bytes: null }]),
  })
}
