import type { TypedObject } from '@weft/config/objects'

type Rule = TypedObject<'DestinationRule'>

/**
 * Several DestinationRules of one namespace for one host are one (Istio, "Multiple destination rules"): subsets of all,
 * the first of each name; the first traffic policy. Rules with other exportTo or a workloadSelector stand alone.
 * Gives the lists by host, in the order of the input.
 */
export function mergeDestinationRules(rules: readonly Rule[]): Map<string, Rule[]> {
  const byHost = new Map<string, Rule[]>()
  for (const rule of rules) {
    const list = byHost.get(rule.spec.host)
    if (list === undefined) {
      byHost.set(rule.spec.host, [rule])
      continue
    }
    const index = list.findIndex((other) => mergeable(other, rule))
    if (index < 0) list.push(rule)
    else list[index] = merge(list[index]!, rule)
  }
  return byHost
}

function mergeable(a: Rule, b: Rule): boolean {
  return (
    a.metadata.namespace === b.metadata.namespace &&
    a.spec.workloadSelector === undefined &&
    b.spec.workloadSelector === undefined &&
    [...a.spec.exportTo].sort().join() === [...b.spec.exportTo].sort().join()
  )
}

function merge(first: Rule, second: Rule): Rule {
  const names = new Set(first.spec.subsets.map(({ name }) => name))
  return {
    ...first,
    version: `${first.version}+${second.version}`,
    spec: {
      ...first.spec,
      trafficPolicy: first.spec.trafficPolicy ?? second.spec.trafficPolicy,
      subsets: [...first.spec.subsets, ...second.spec.subsets.filter(({ name }) => !names.has(name))],
    },
  }
}
