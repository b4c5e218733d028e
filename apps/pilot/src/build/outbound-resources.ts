import { keyOf as objectKeyOf } from '@weft/config/objects'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { Resource } from '@weft/xds/cache/resource'
import { type Service, serviceKey } from '../model/service.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Endpoint } from '../model/workload.ts'
import { mtlsModeOf } from '../scope/mtls-mode.ts'
import type { Scope } from '../scope/scope.ts'
import {
  discoveryOf,
  type OutboundContext,
  type OutboundTarget,
  outboundCluster,
  outboundTargets,
  targetName,
} from './clusters/outbound-cluster.ts'
import { effectivePolicy } from './clusters/traffic-policy.ts'
import { loadAssignment, withLabels } from './endpoints/load-assignment.ts'
import { localityBalanceOf, seenOf } from './endpoints/locality-balance.ts'
import { localityGroups } from './endpoints/locality-groups.ts'
import { placeOfProxy, topology } from './endpoints/place.ts'
import { exchangesPeers } from './filters/istio-stats.ts'
import type { Recipe, Recipes } from './resource-cache.ts'
import { systemRootsOf } from './tls/contexts.ts'
import { keyOf } from './wire.ts'

/** Whether connections reach a proxy with their original destination. */
export function isTransparent({ proxy }: Scope): boolean {
  return proxy.type === 'sidecar' && proxy.interceptionMode !== 'NONE'
}

function contextOf(service: Service, scope: Scope): OutboundContext {
  const { snapshot } = scope
  return {
    mesh: snapshot.mesh,
    endpoints: snapshot.endpoints.get(serviceKey(service.namespace, service.host)),
    transparent: isTransparent(scope),
    systemRoots: systemRootsOf(scope.proxy),
    isWeft: scope.proxy.isWeft,
    exchangesPeers: exchangesPeers(scope, 'client'),
    preservesCase: scope.settings.headers.preservesCase,
    place: placeOfProxy(scope),
    takesMeshTls: (endpoint) => takesMeshTls(snapshot, endpoint),
  }
}

function takesMeshTls(snapshot: Snapshot, { workload, port }: Endpoint): boolean {
  return workload.tlsMode === 'istio' && mtlsModeOf(snapshot, workload, port) !== 'DISABLE'
}

/** The clusters of a service, whole and by subset. */
export function serviceClusters(service: Service, scope: Scope, cache: Recipes): Resource[] {
  const context = contextOf(service, scope)
  return outboundTargets(service, scope.destinationRule(service.host)).map((target) =>
    cache.get(outboundCluster(target, context)),
  )
}

/** The load assignments of a service's clusters, for those that are found by EDS. */
export function serviceEndpoints(service: Service, scope: Scope, cache: Recipes): Resource[] {
  if (discoveryOf(service, isTransparent(scope)) !== 'eds') return []
  const targets = outboundTargets(service, scope.destinationRule(service.host))
  return targets.map((target) => cache.get(assignment(target, scope)))
}

function assignment(target: OutboundTarget, scope: Scope): Recipe {
  const { service, port, labels, rule, subset } = target
  const { endpoints, place, mesh } = contextOf(service, scope)
  const name = targetName(target)
  const balance = localityBalanceOf(mesh, effectivePolicy(rule?.spec, subset, port.number), service)
  const node = service.nodeLocal === true ? place.labels[topology.node] : undefined
  return {
    name,
    key: keyOf(
      service.namespace,
      endpoints?.version,
      JSON.stringify(labels),
      peerPolicies(scope.snapshot),
      balance === undefined ? '' : JSON.stringify([balance, seenOf(place, balance)]),
      service.nodeLocal === true ? `on ${node}` : '',
    ),
    origins: rule === undefined || target.subset === '' ? [service.origin] : [service.origin, objectKeyOf(rule)],
    build: () => {
      const own = withLabels(endpoints?.byPort.get(port.number) ?? [], labels)
      const near = service.nodeLocal === true ? own.filter(({ workload }) => workload.node === node) : own
      const message = loadAssignment(name, localityGroups(near, balance, place), (endpoint) =>
        takesMeshTls(scope.snapshot, endpoint),
      )
      return ClusterLoadAssignment.encode(message).finish()
    },
  }
}

const policyTexts = new WeakMap<Snapshot['peerAuthentications'], string>()

/** A text that changes when any PeerAuthentication does: they decide which endpoints take mutual TLS. */
function peerPolicies({ peerAuthentications }: Snapshot): string {
  let text = policyTexts.get(peerAuthentications)
  if (text === undefined) {
    text = peerAuthentications.map((policy) => `${objectKeyOf(policy)}@${policy.version}`).join()
    policyTexts.set(peerAuthentications, text)
  }
  return text
}
