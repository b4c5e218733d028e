import type { TypedObject } from '@weft/config/objects'
import { keyOf as objectKeyOf } from '@weft/config/objects'
import {
  Cluster,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
} from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { Filter as Cluster_Filter } from '@weft/contracts/envoy/config/cluster/v3/filter'
import { type MeshSettings, meshKey } from '../../model/mesh-settings.ts'
import { isHttp, isHttp2, type Service, type ServicePort, speaksHttp } from '../../model/service.ts'
import type { EndpointSet } from '../../model/workload.ts'
import { identitiesOf, loadAssignment, type TakesMeshTls, withLabels } from '../endpoints/load-assignment.ts'
import { localityBalanceOf, weighsLocalities } from '../endpoints/locality-balance.ts'
import { localityGroups } from '../endpoints/locality-groups.ts'
import type { Place } from '../endpoints/place.ts'
import { forwardingCluster, isForwarded } from '../filters/forward-proxy.ts'
import { peerExchangeFilter } from '../filters/istio-stats.ts'
import { outboundClusterName, serverNameOf } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import type { SystemRoots } from '../tls/contexts.ts'
import { keyOf, milliseconds } from '../wire.ts'
import { applyConnectionPool, applyHttpProtocol, applyOutlierDetection, sharesConnections, usesHttp2 } from './connection-pool.ts'
import { applyLoadBalancing, weighLocalities } from './load-balancing.ts'
import { applyProxyProtocol } from './proxy-protocol.ts'
import { statName } from './stat-name.ts'
import { effectivePolicy } from './traffic-policy.ts'
import { applyUpstreamTls } from './upstream-tls.ts'

/** One cluster to be: a port of a service, whole or a subset of it. */
export interface OutboundTarget {
  readonly service: Service
  readonly port: ServicePort
  /** Empty for the whole service. */
  readonly subset: string
  readonly labels: Readonly<Record<string, string>>
  readonly rule: TypedObject<'DestinationRule'> | undefined
}

export interface OutboundContext {
  readonly mesh: MeshSettings
  readonly endpoints: EndpointSet | undefined
  /** Connections are caught with their original destination, so that a headless service needs no endpoints. */
  readonly transparent: boolean
  readonly takesMeshTls: TakesMeshTls
  readonly systemRoots: SystemRoots
  /** The proxy is ours, not Envoy. */
  readonly isWeft: boolean
  /** Istio's metrics of connections are counted, for which both ends tell who they are. */
  readonly exchangesPeers: boolean
  /** Headers of HTTP/1.1 keep their case. */
  readonly preservesCase: boolean
  /** Where the proxy stands. */
  readonly place: Place
}

/** All clusters of a service: one a port, and one more for each subset of its DestinationRule. */
export function outboundTargets(service: Service, rule: TypedObject<'DestinationRule'> | undefined): OutboundTarget[] {
  const targets: OutboundTarget[] = []
  for (const port of service.ports) {
    if (port.protocol === 'udp') continue
    targets.push({ service, port, subset: '', labels: {}, rule })
    // Nothing tells subsets of hosts apart that are not known.
    if (isForwarded(service)) continue
    for (const { name, labels } of rule?.spec.subsets ?? []) targets.push({ service, port, subset: name, labels, rule })
  }
  return targets
}

export function targetName({ service, port, subset }: OutboundTarget): string {
  return outboundClusterName(port.number, subset, service.host)
}

/** How a cluster finds its endpoints. */
type Discovery = 'eds' | 'strict-dns' | 'logical-dns' | 'original-dst' | 'forward'

/** Only those by EDS have a load assignment of their own. */
export function discoveryOf(service: Service, transparent: boolean): Discovery {
  if (isForwarded(service)) return 'forward'
  if (service.resolution === 'dns') return 'strict-dns'
  if (service.resolution === 'dns-round-robin') return 'logical-dns'
  return service.resolution === 'passthrough' && transparent ? 'original-dst' : 'eds'
}

/** The recipe of an outbound cluster. */
export function outboundCluster(target: OutboundTarget, context: OutboundContext): Recipe {
  const { service, port, rule } = target
  const name = targetName(target)
  const discovery = discoveryOf(service, context.transparent)
  const identities = [...identitiesOf(context.endpoints), ...service.subjectAltNames]
  const { mesh } = context
  return {
    name,
    key: keyOf(
      service.version,
      // Only a rule can ask for TLS by the system's authorities.
      rule === undefined ? '' : `${objectKeyOf(rule)}@${rule.version}@${context.systemRoots}`,
      discovery,
      discovery.endsWith('dns') ? context.endpoints?.version : '',
      identities.join(),
      meshKey(mesh),
      discovery.endsWith('dns') ? JSON.stringify(context.place) : '',
      context.isWeft,
      context.exchangesPeers,
      context.preservesCase,
      port.number,
    ),
    origins: rule === undefined ? [service.origin] : [service.origin, objectKeyOf(rule)],
    refersTo: discovery === 'eds' ? [name] : [],
    build: () => Cluster.encode(build(target, context, name, discovery, identities)).finish(),
  }
}

function build(
  target: OutboundTarget,
  { mesh, endpoints, takesMeshTls, systemRoots, isWeft, exchangesPeers, preservesCase, place }: OutboundContext,
  name: string,
  discovery: Discovery,
  identities: readonly string[],
): Cluster {
  const { service, port, subset, labels, rule } = target
  const policy = effectivePolicy(rule?.spec, subset, port.number)
  const cluster = Cluster.fromPartial({ name, altStatName: statName(mesh.outboundClusterStatName, target) })
  const balances = applyLoadBalancing(cluster, policy.loadBalancer)
  const balance = localityBalanceOf(mesh, policy, service)
  if (balances && weighsLocalities(balance)) weighLocalities(cluster)
  applyDiscovery(cluster, balances || discovery === 'forward' ? discovery : 'original-dst', mesh)
  if (cluster.clusterDiscoveryType?.$case === 'type' && discovery.endsWith('dns')) {
    const own = withLabels(endpoints?.byPort.get(port.number) ?? [], labels)
    cluster.loadAssignment = loadAssignment(name, localityGroups(own, balance, place), takesMeshTls)
  }
  const http = isHttp(port.protocol)
  const http2 = usesHttp2(isHttp2(port.protocol), http, policy.connectionPool, mesh.upgradesToHttp2)
  applyConnectionPool(cluster, policy.connectionPool, mesh, policy.retryBudget)
  applyHttpProtocol(cluster, http2, policy.connectionPool, preservesCase && speaksHttp(port.protocol))
  applyOutlierDetection(cluster, policy.outlierDetection, service)
  applyUpstreamTls(cluster, {
    settings: policy.tls,
    automatic: mesh.enableAutoMtls && !service.meshExternal && cluster.lbPolicy !== Cluster_LbPolicy.CLUSTER_PROVIDED,
    serverName: serverNameOf(port.number, subset, service.host),
    identities,
    host: service.host,
    http,
    http2,
    exchangesPeers,
    shares: isWeft && sharesConnections(policy.connectionPool, preservesCase),
    systemRoots,
    mesh,
  })
  if (exchangesPeers && !http && !service.meshExternal) cluster.filters = [Cluster_Filter.fromPartial(peerExchangeFilter)]
  applyProxyProtocol(cluster, policy.proxyProtocol)
  if (discovery === 'forward') cluster.clusterDiscoveryType = forwardingCluster(cluster.transportSocket === undefined)
  cluster.metadata = {
    filterMetadata: {
      istio: {
        services: [{ host: service.host, name: service.name, namespace: service.namespace }],
        ...(subset === '' ? {} : { subset }),
      },
    },
    typedFilterMetadata: {},
  }
  return cluster
}

function applyDiscovery(cluster: Cluster, discovery: Discovery, mesh: MeshSettings): void {
  switch (discovery) {
    case 'eds':
      cluster.clusterDiscoveryType = { $case: 'type', value: Cluster_DiscoveryType.EDS }
      cluster.edsClusterConfig = Cluster.fromPartial({
        edsClusterConfig: {
          serviceName: cluster.name,
          edsConfig: {
            resourceApiVersion: 2,
            configSourceSpecifier: { $case: 'ads', value: {} },
            initialFetchTimeout: milliseconds(0),
          },
        },
      }).edsClusterConfig
      return
    case 'forward':
      // How, depends on whether there will be TLS.
      cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED
      return
    case 'original-dst':
      cluster.clusterDiscoveryType = { $case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST }
      cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED
      return
    case 'strict-dns':
    case 'logical-dns':
      cluster.clusterDiscoveryType = {
        $case: 'type',
        value: discovery === 'strict-dns' ? Cluster_DiscoveryType.STRICT_DNS : Cluster_DiscoveryType.LOGICAL_DNS,
      }
      cluster.dnsLookupFamily = Cluster_DnsLookupFamily.V4_ONLY
      cluster.respectDnsTtl = true
      cluster.dnsRefreshRate = milliseconds(mesh.dnsRefreshMs)
  }
}
