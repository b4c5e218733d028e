import type { LocalityLoadBalancerSetting, TrafficPolicy } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Scope } from '../../scope/scope.ts'
import { labelsPreferredBy } from './locality-balance.ts'
import { placeOfProxy, topology } from './place.ts'

/** What of a proxy's place something asks for. */
interface Asked {
  locality: boolean
  labels: ReadonlySet<string>
}

const askedByServices = new WeakMap<Snapshot['services'], Asked>()
const askedByRules = new WeakMap<Snapshot['destinationRules'], Asked>()

/**
 * Equal for proxies whose place makes no difference to what they see: where nothing asks for places all are, so that they share
 * what is built.
 */
export function placeKey(scope: Scope): string {
  const { services, destinationRules, mesh } = scope.snapshot
  const asked = [
    memoized(askedByServices, services, servicesAsk),
    memoized(askedByRules, destinationRules, rulesAsk),
    settingAsks(mesh.localityLbSetting),
  ]
  const names = [...new Set(asked.flatMap(({ labels }) => [...labels]))]
  const isLocalityAsked = asked.some(({ locality }) => locality)
  if (names.length === 0 && !isLocalityAsked) return ''
  const { locality, labels } = placeOfProxy(scope)
  return JSON.stringify([isLocalityAsked ? locality : '', names.map((name) => [name, labels[name]])])
}

function memoized<K extends object>(known: WeakMap<K, Asked>, key: K, make: (key: K) => Asked): Asked {
  const before = known.get(key)
  if (before !== undefined) return before
  const asked = make(key)
  known.set(key, asked)
  return asked
}

function servicesAsk(services: Snapshot['services']): Asked {
  const labels = new Set<string>()
  for (const { prefers, nodeLocal } of services) {
    for (const label of labelsPreferredBy(prefers)) labels.add(label)
    if (nodeLocal === true) labels.add(topology.node)
  }
  return { locality: false, labels }
}

function rulesAsk(rules: Snapshot['destinationRules']): Asked {
  const labels = new Set<string>()
  let locality = false
  for (const { spec } of rules) {
    for (const policy of [spec.trafficPolicy, ...spec.subsets.map(({ trafficPolicy }) => trafficPolicy)]) {
      for (const { loadBalancer, outlierDetection } of policiesIn(policy)) {
        const ofSetting = settingAsks(loadBalancer?.localityLbSetting)
        for (const label of ofSetting.labels) labels.add(label)
        for (const label of labelsIn(loadBalancer?.zoneAwareLbSetting?.failoverPriority)) labels.add(label)
        locality ||= outlierDetection !== undefined || ofSetting.locality
      }
    }
  }
  return { locality, labels }
}

function policiesIn(policy: TrafficPolicy | undefined): Pick<TrafficPolicy, 'loadBalancer' | 'outlierDetection'>[] {
  return policy === undefined ? [] : [policy, ...policy.portLevelSettings]
}

/** Failover goes by locality only with outlier detection, which a rule says. */
function settingAsks(setting: LocalityLoadBalancerSetting | undefined): Asked {
  const labels = labelsIn(setting?.failoverPriority)
  return { locality: (setting?.distribute.length ?? 0) > 0, labels }
}

function labelsIn(priority: readonly string[] = []): Set<string> {
  return new Set(priority.map((label) => label.split('=', 1)[0] ?? ''))
}
