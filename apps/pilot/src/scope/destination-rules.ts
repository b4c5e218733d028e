import type { TypedObject } from '@weft/config/objects'
import { bySpecificity, hostMatches, selects } from '../model/host.ts'
import type { Service } from '../model/service.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { exportedTo } from './export-to.ts'
import type { ProxyNode } from './proxy-node.ts'

type Rule = TypedObject<'DestinationRule'>

const wildcards = new WeakMap<Snapshot, readonly string[]>()

/**
 * The DestinationRule that a proxy follows towards a host: its own namespace's, then the service's, then the root
 * namespace's; of each the most specific host. One with a workloadSelector holds only where it selects, and goes first.
 */
export function destinationRuleFor(
  snapshot: Snapshot,
  proxy: Pick<ProxyNode, 'namespace' | 'labels'>,
  host: string,
  service: Service | undefined,
): Rule | undefined {
  const namespaces = [...new Set([proxy.namespace, service?.namespace ?? proxy.namespace, snapshot.mesh.rootNamespace])]
  const patterns = [host, ...wildcardHosts(snapshot).filter((pattern) => pattern !== host && hostMatches(pattern, host))]
  for (const namespace of namespaces) {
    for (const pattern of patterns) {
      const candidates = (snapshot.destinationRulesByHost.get(pattern) ?? []).filter(
        (rule) => rule.metadata.namespace === namespace && isVisible(rule, snapshot, proxy.namespace),
      )
      const rule =
        candidates.find(
          ({ spec }) =>
            spec.workloadSelector !== undefined &&
            namespace === proxy.namespace &&
            selects(spec.workloadSelector.matchLabels, proxy.labels),
        ) ?? candidates.find(({ spec }) => spec.workloadSelector === undefined)
      if (rule !== undefined) return rule
    }
  }
  return undefined
}

function isVisible({ spec, metadata }: Rule, snapshot: Snapshot, viewer: string): boolean {
  return exportedTo(spec.exportTo, snapshot.mesh.defaultDestinationRuleExportTo, metadata.namespace, viewer)
}

function wildcardHosts(snapshot: Snapshot): readonly string[] {
  let hosts = wildcards.get(snapshot)
  if (hosts === undefined) {
    hosts = [...snapshot.destinationRulesByHost.keys()].filter((host) => host.startsWith('*')).sort(bySpecificity)
    wildcards.set(snapshot, hosts)
  }
  return hosts
}
