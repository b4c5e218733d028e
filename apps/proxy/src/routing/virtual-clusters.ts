import type { VirtualHost } from '@weft/contracts/envoy/config/route/v3/route_components'
import type { RequestHead } from '@weft/http/message'
import { invalid } from '../plan/problems.ts'
import { compileHeaderMatcher, type HeadMatcher } from './matchers/header-matcher.ts'
import { RequestGroup } from './request-group.ts'

/** What is counted for those requests of a virtual host that its headers put together: `vhost.HOST.vcluster.NAME.upstream_rq_…`. */
export interface VirtualCluster {
  /** Empty: what belongs to none that is named. */
  readonly name: string
  readonly counts: RequestGroup
  matches(request: RequestHead): boolean
}

/** Compiles virtual_clusters, the one for all others last; null: there are none. */
export function compileVirtualClusters(source: VirtualHost, path: string): readonly VirtualCluster[] | null {
  if (source.virtualClusters.length === 0) return null
  const named = source.virtualClusters.map(({ name, headers }, i) => {
    const at = `${path}.virtual_clusters[${i}]`
    if (headers.length === 0) throw invalid(at, "virtual clusters must define 'headers'")
    const matchers = headers.map((matcher, k) => compileHeaderMatcher(matcher, `${at}.headers[${k}]`))
    return virtualCluster(source.name, name, matchers)
  })
  return [...named, virtualCluster(source.name, '', [])]
}

function virtualCluster(host: string, name: string, matchers: readonly HeadMatcher[]): VirtualCluster {
  return {
    name,
    counts: new RequestGroup(`vhost.${host}.vcluster.${name === '' ? 'other' : name}.`),
    matches: (request) => matchers.every((matches) => matches(request)),
  }
}
