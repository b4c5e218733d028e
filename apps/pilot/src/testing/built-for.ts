import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import type { FilterChain } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import type { Route } from '@weft/contracts/envoy/config/route/v3/route_components'
import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { TcpProxy } from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import type { Resource } from '@weft/xds/cache/resource'
import { inconsistencies } from '@weft/xds/cache/snapshot'
import { typeUrls } from '@weft/xds/types'
import { Builder, type View } from '../build/builder.ts'
import type { MeshSettings } from '../model/mesh-settings.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { parseNode } from '../scope/parse-node.ts'
import type { ProxyNode } from '../scope/proxy-node.ts'
import { scopeOf } from '../scope/scope-of.ts'
import { snapshotOf } from './snapshot-of.ts'

/** What a proxy is given, decoded again, by name. */
export interface Built {
  readonly view: View
  readonly clusters: ReadonlyMap<string, Cluster>
  readonly endpoints: ReadonlyMap<string, ClusterLoadAssignment>
  readonly listeners: ReadonlyMap<string, Listener>
  readonly routes: ReadonlyMap<string, RouteConfiguration>
}

/** For tests: the service that `nodeOf` is an instance of, with a port of HTTP and one of TCP; other objects may follow. */
export const webService = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }, { name: tcp, port: 90 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: web-1 }
spec: { address: 1.1.1.1, labels: { app: web } }
---
`

/** For tests: a proxy's node, by its kind and metadata. */
export function nodeOf(type: 'sidecar' | 'router', metadata: Record<string, unknown> = {}, ip = '127.1.1.1'): ProxyNode {
  const namespace = typeof metadata['NAMESPACE'] === 'string' ? metadata['NAMESPACE'] : 'default'
  const id = `${type}~${ip}~web.${namespace}~${namespace}.svc.cluster.local`
  return parseNode({ id, metadata: { NAMESPACE: namespace, ...metadata }, locality: undefined })
}

/** For tests: what a proxy is given for a YAML text. Fails when something given refers to something that is not. */
export function builtFor(yaml: string, proxy: ProxyNode, mesh?: MeshSettings): Built {
  return builtFrom(snapshotOf(yaml, mesh), proxy)
}

/** For tests: what a proxy is given for a snapshot. */
export function builtFrom(snapshot: Snapshot, proxy: ProxyNode): Built {
  const builder = new Builder()
  builder.begin(snapshot, undefined)
  const view = builder.build(scopeOf(snapshot, proxy))
  const problems = inconsistencies(view.resources)
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return decodeView(view)
}

/** For tests: a view's resources, decoded. */
function decodeView(view: View): Built {
  const decode = <T>(type: string, read: (bytes: Uint8Array) => T): Map<string, T> =>
    new Map([...(view.resources.get(type) ?? [])].map((resource: Resource) => [resource.name, read(resource.bytes)]))
  return {
    view,
    clusters: decode(typeUrls.cluster, (bytes) => Cluster.decode(bytes)),
    endpoints: decode(typeUrls.endpoint, (bytes) => ClusterLoadAssignment.decode(bytes)),
    listeners: decode(typeUrls.listener, (bytes) => Listener.decode(bytes)),
    routes: decode(typeUrls.route, (bytes) => RouteConfiguration.decode(bytes)),
  }
}

/** For tests: the HTTP connection manager of a filter chain. */
export function httpOf(chain: FilterChain | undefined): HttpConnectionManager {
  const filter = chain?.filters.find(({ name }) => name.endsWith('http_connection_manager'))
  if (filter?.configType?.$case !== 'typedConfig') throw new Error('the chain has no HTTP connection manager')
  return HttpConnectionManager.decode(filter.configType.value.value)
}

/** For tests: the TCP proxy of a filter chain. */
export function tcpOf(chain: FilterChain | undefined): TcpProxy {
  const filter = chain?.filters.find(({ name }) => name.endsWith('tcp_proxy'))
  if (filter?.configType?.$case !== 'typedConfig') throw new Error('the chain has no TCP proxy')
  return TcpProxy.decode(filter.configType.value.value)
}

/** For tests: where a route leads: a cluster, or clusters with their weights, or what it answers. */
export function targetOf(route: Route | undefined): string {
  const { action } = route ?? {}
  if (action?.$case === 'redirect') return `redirect ${action.value.hostRedirect}`
  if (action?.$case === 'directResponse') return `status ${action.value.status}`
  const specifier = action?.$case === 'route' ? action.value.clusterSpecifier : undefined
  if (specifier?.$case === 'cluster') return specifier.value
  if (specifier?.$case === 'weightedClusters') {
    return specifier.value.clusters.map(({ name, weight }) => `${name}=${weight}`).join(' ')
  }
  return 'nowhere'
}
