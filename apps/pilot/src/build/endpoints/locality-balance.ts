import type { LocalityLoadBalancerSetting } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import type { Service } from '../../model/service.ts'
import type { EffectivePolicy } from '../clusters/traffic-policy.ts'
import { type Place, topology } from './place.ts'

/** How load goes to near and far endpoints: by stated shares, or to the nearest that are healthy. */
export type LocalityBalance =
  | { readonly type: 'distribute'; readonly rules: readonly Distribution[] }
  | {
      readonly type: 'failover'
      /** Labels by which an endpoint is near, the most important first; `name=value` wants that value, not the proxy's own. */
      readonly labels: readonly string[]
      /** To which region load goes first when a region has none left. */
      readonly regions: readonly { readonly from: string; readonly to: string }[]
      /** All of the proxy's region count the same: zones make no difference. */
      readonly wholeRegion: boolean
    }

/** Of callers in `from`, how many parts of a hundred go `to` each locality: `region/zone/subzone`, with `*` for any. */
export interface Distribution {
  readonly from: string
  readonly to: Readonly<Record<string, number>>
}

/**
 * How a cluster's load keeps to localities, as in Istio: by the DestinationRule, else by what the service prefers, else by
 * MeshConfig; undefined where all endpoints count the same. Without outlier detection nothing would tell that a near endpoint
 * fails, so that load keeps near only with it, or where the service itself prefers so.
 */
export function localityBalanceOf(
  mesh: Pick<MeshSettings, 'localityLbSetting'>,
  { loadBalancer, outlierDetection }: EffectivePolicy,
  { prefers }: Pick<Service, 'prefers'>,
): LocalityBalance | undefined {
  const zoneAware = loadBalancer?.zoneAwareLbSetting
  // Envoy would prefer its zone in proportion to who calls from there; where it does not know that, the region is one, as here.
  if (zoneAware !== undefined) return balanceOf({ ...zoneAware, distribute: [] }, outlierDetection !== undefined, true)
  const ofRule = loadBalancer?.localityLbSetting
  if (ofRule !== undefined) return balanceOf(ofRule, outlierDetection !== undefined)
  if (prefers !== undefined) return { type: 'failover', labels: labelsPreferredBy(prefers), regions: [], wholeRegion: false }
  return balanceOf(mesh.localityLbSetting, outlierDetection !== undefined)
}

/** The labels by which the endpoints of a service are near. */
export function labelsPreferredBy(prefers: Service['prefers']): readonly string[] {
  const { network, region, zone, subZone, node } = topology
  if (prefers === undefined) return []
  return prefers === 'same-zone' ? [network, region, zone] : [network, region, zone, subZone, node]
}

function balanceOf(
  { enabled = true, distribute, failover, failoverPriority }: LocalityLoadBalancerSetting,
  detectsOutliers: boolean,
  wholeRegion = false,
): LocalityBalance | undefined {
  if (!enabled) return undefined
  if (distribute.length > 0) return { type: 'distribute', rules: distribute }
  return detectsOutliers ? { type: 'failover', labels: failoverPriority, regions: failover, wholeRegion } : undefined
}

/** What of a proxy's place decides how it sees endpoints: equal for proxies that see them alike. */
export function seenOf({ locality, labels }: Place, balance: LocalityBalance): unknown {
  return [locality, balance.type === 'failover' ? balance.labels.map((label) => labels[label.split('=', 1)[0] ?? '']) : []]
}

/** Whether the weights of localities count; else they would only bend what the load balancing policy does. */
export function weighsLocalities(balance: LocalityBalance | undefined): boolean {
  if (balance === undefined) return false
  return balance.type === 'distribute' || balance.labels.length > 0 || balance.regions.length > 0
}
