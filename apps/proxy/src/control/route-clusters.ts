import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import type { Route } from '@weft/contracts/envoy/config/route/v3/route_components'
import { invalid } from '../plan/problems.ts'
import { inlineRoutes } from './inline-routes.ts'

/**
 * Whether the clusters that a listener's own routes name are there, as Envoy asks of them unless `validate_clusters` is off.
 * Throws a WeftError for the first that is not.
 */
export function checkInlineClusters(listener: Uint8Array, has: (cluster: string) => boolean): void {
  for (const { bytes } of inlineRoutes(listener)) {
    const configuration = RouteConfiguration.decode(bytes)
    if (configuration.validateClusters !== false) checkClusters(configuration, has)
  }
}

/** The same of fetched routes, whose clusters may come later unless `validate_clusters` is on. */
export function checkFetchedClusters(configuration: Uint8Array, has: (cluster: string) => boolean): void {
  const routes = RouteConfiguration.decode(configuration)
  if (routes.validateClusters === true) checkClusters(routes, has)
}

function checkClusters(configuration: RouteConfiguration, has: (cluster: string) => boolean): void {
  const shadow = [configuration, ...configuration.virtualHosts]
    .flatMap(({ requestMirrorPolicies }) => requestMirrorPolicies)
    .find(({ cluster }) => cluster !== '' && !has(cluster))
  if (shadow !== undefined) throw invalid('request_mirror_policies', `route: unknown shadow cluster '${shadow.cluster}'`)
  configuration.virtualHosts.forEach((host, i) => {
    host.routes.forEach((route, k) => {
      for (const cluster of clustersOf(route)) {
        if (has(cluster)) continue
        throw invalid(
          `virtual_hosts[${i}].routes[${k}]`,
          `route: unknown cluster '${cluster}'`,
          'define the cluster, or set validate_clusters: false where it comes later',
        )
      }
    })
  })
}

function clustersOf({ action }: Route): string[] {
  if (action?.$case !== 'route') return []
  const { clusterSpecifier, requestMirrorPolicies } = action.value
  const mirrors = requestMirrorPolicies.map(({ cluster }) => cluster).filter((cluster) => cluster !== '')
  switch (clusterSpecifier?.$case) {
    case 'cluster':
      return [clusterSpecifier.value, ...mirrors]
    case 'weightedClusters':
      return [...clusterSpecifier.value.clusters.map(({ name }) => name).filter((name) => name !== ''), ...mirrors]
    default:
      return mirrors
  }
}
