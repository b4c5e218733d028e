import type { TypedObject } from '@weft/config/objects'
import { keyOf, objectKey } from '@weft/config/objects'
import type { Change } from '../model/change.ts'
import { hostMatches } from '../model/host.ts'
import { type Service, serviceKey } from '../model/service.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Workload } from '../model/workload.ts'
import { destinationRuleFor } from './destination-rules.ts'
import { egressScopes, sidecarFor, visibleServices } from './egress.ts'
import { gatewayServersFor } from './gateway-servers.ts'
import { instancesOf } from './instances.ts'
import { mtlsModeOf } from './mtls-mode.ts'
import type { ProxyNode } from './proxy-node.ts'
import { proxySettingsOf } from './proxy-settings-of.ts'
import type { EgressScope, GatewayServer, Scope } from './scope.ts'
import { policyHolds } from './workload-policies.ts'

/** The part of a scope that proxies with the same key share. */
interface Outbound {
  services: readonly Service[]
  byHost: ReadonlyMap<string, Service>
  egress: readonly EgressScope[]
  gatewayServers: readonly GatewayServer[]
  rules: Map<string, TypedObject<'DestinationRule'> | undefined>
}

/** Outbound sides of a snapshot by scope key; the snapshot's end is theirs. */
const outbounds = new WeakMap<Snapshot, Map<string, Outbound>>()

/** What one proxy sees of a snapshot. The outbound side is worked out once for all proxies with the same key. */
export function scopeOf(snapshot: Snapshot, proxy: ProxyNode): Scope {
  const sidecar = sidecarFor(snapshot, proxy)
  const key = scopeKey(snapshot, proxy, sidecar)
  let cache = outbounds.get(snapshot)
  if (cache === undefined) {
    cache = new Map()
    outbounds.set(snapshot, cache)
  }
  let outbound = cache.get(key)
  if (outbound === undefined) {
    outbound = outboundOf(snapshot, proxy, sidecar)
    cache.set(key, outbound)
  }
  const { services, byHost, egress, gatewayServers, rules } = outbound
  const workload = workloadOf(snapshot, proxy)
  const labels = Object.keys(proxy.labels).length > 0 ? proxy.labels : (workload?.labels ?? {})
  const policy = sidecar?.spec.outboundTrafficPolicy
  const scope: Scope = {
    snapshot,
    proxy,
    key,
    services,
    egress,
    outboundTrafficPolicy:
      policy === undefined ? snapshot.mesh.outboundTrafficPolicy : policy.mode === 1 ? 'ALLOW_ANY' : 'REGISTRY_ONLY',
    egressProxy: policy?.mode === 1 ? policy.egressProxy : undefined,
    settings: proxySettingsOf(snapshot.mesh, proxy),
    gatewayServers,
    workload,
    labels,
    sidecar,
    instances: proxy.type === 'sidecar' ? instancesOf(snapshot, proxy) : [],
    service: (host) => byHost.get(host),
    destinationRule: (host) => {
      if (!rules.has(host)) rules.set(host, destinationRuleFor(snapshot, proxy, host, byHost.get(host)))
      return rules.get(host)
    },
    inboundMtls: (port) => mtlsModeOf(snapshot, { namespace: proxy.namespace, labels }, port),
    dependsOn: (change) => dependsOn(scope, byHost, change),
  }
  return scope
}

function outboundOf(snapshot: Snapshot, proxy: ProxyNode, sidecar: TypedObject<'Sidecar'> | undefined): Outbound {
  const egress = proxy.type === 'sidecar' ? egressScopes(snapshot, proxy.namespace, sidecar) : []
  const services = proxy.type === 'router' ? visibleServices(snapshot, proxy.namespace) : union(egress)
  return {
    services,
    byHost: new Map(services.map((service) => [service.host, service])),
    egress,
    gatewayServers: gatewayServersFor(snapshot, proxy),
    rules: new Map(),
  }
}

function union(egress: readonly EgressScope[]): readonly Service[] {
  return egress.length === 1 ? egress[0]!.services : [...new Set(egress.flatMap(({ services }) => services))]
}

/** Labels are part of the key only where something outbound asks for them. */
function scopeKey(snapshot: Snapshot, proxy: ProxyNode, sidecar: TypedObject<'Sidecar'> | undefined): string {
  const parts: string[] = [proxy.type, proxy.namespace]
  if (sidecar !== undefined) parts.push(keyOf(sidecar))
  if (proxy.type === 'router' || labelsMatter(snapshot)) {
    const labels = Object.entries(proxy.labels).sort(([a], [b]) => (a < b ? -1 : 1))
    parts.push(...labels.map(([name, value]) => `${name}=${value}`))
  }
  return parts.join('|')
}

const labelled = new WeakMap<Snapshot, boolean>()

function labelsMatter(snapshot: Snapshot): boolean {
  let matter = labelled.get(snapshot)
  if (matter === undefined) {
    matter =
      snapshot.destinationRules.some(({ spec }) => spec.workloadSelector !== undefined) ||
      snapshot.virtualServices.some(({ spec }) =>
        [...spec.http, ...spec.tls, ...spec.tcp].some(({ match }) =>
          match.some(({ sourceLabels }) => Object.keys(sourceLabels).length > 0),
        ),
      )
    labelled.set(snapshot, matter)
  }
  return matter
}

/** The workload at the proxy's address: the one of its name, else the first of its namespace. */
function workloadOf(snapshot: Snapshot, proxy: ProxyNode): Workload | undefined {
  const own = proxy.ips
    .flatMap((ip) => snapshot.workloads.byAddress.get(ip))
    .filter(({ namespace }) => namespace === proxy.namespace)
  return own.find(({ key }) => key === `${proxy.namespace}/${proxy.name.split('.', 1)[0]}`) ?? own[0]
}

/**
 * Ask the scope of the snapshot before and the one after: what is gone is only in the first, what is new in the second.
 */
function dependsOn(scope: Scope, byHost: ReadonlyMap<string, Service>, change: Change): boolean {
  const { proxy, snapshot } = scope
  const mine = change.namespace === proxy.namespace || change.namespace === snapshot.mesh.rootNamespace
  switch (change.kind) {
    case 'MeshConfig':
      return true
    case 'ServiceEntry':
      return false
    case 'Service':
    case 'Endpoints':
      return (
        byHost.get(change.host)?.namespace === change.namespace ||
        scope.instances.some(
          ({ service }) => serviceKey(service.namespace, service.host) === serviceKey(change.namespace, change.host),
        )
      )
    case 'DestinationRule':
      return (
        byHost.has(change.host) ||
        (change.host.startsWith('*') && [...byHost.keys()].some((host) => hostMatches(change.host, host)))
      )
    case 'VirtualService': {
      if (change.host === '*') return true
      const seen = [...scope.egress, ...scope.gatewayServers].flatMap(({ virtualServices }) => virtualServices)
      return byHost.has(change.host) || seen.some(({ spec }) => spec.hosts.includes(change.host))
    }
    case 'Gateway':
      return proxy.type === 'router'
    case 'Credential':
      return proxy.credentialAccount !== undefined && change.namespace === proxy.namespace
    case 'Ingress':
    case 'IngressClass':
      // What they are translated to is told by itself.
      return false
    case 'Raw':
      return proxy.isWeft
    case 'Sidecar':
    case 'EnvoyFilter':
    case 'Telemetry':
      return mine
    case 'RequestAuthentication':
    case 'AuthorizationPolicy': {
      const object = mine ? snapshot.objects.get(objectKey(change.kind, change.namespace, change.host)) : undefined
      if (object?.kind !== 'RequestAuthentication' && object?.kind !== 'AuthorizationPolicy') return false
      const { labels, instances } = scope
      return policyHolds(object, { type: proxy.type, namespace: proxy.namespace, labels, instances })
    }
    case 'PeerAuthentication':
      // Clients ask it too, for automatic mutual TLS.
      return mine || [...byHost.values()].some(({ namespace }) => namespace === change.namespace)
    case 'WorkloadEntry':
    case 'WorkloadGroup':
    case 'Workload':
      return scope.workload !== undefined && scope.workload.key === `${change.namespace}/${change.host}`
  }
}
