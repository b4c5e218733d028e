import type { StatsConfig } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { tagExtractor, untagged } from '../observe/stat-tags.ts'
import { boundText, countBelow } from './histogram-buckets.ts'
import type { ViewedStat } from './stat-view.ts'

interface Family {
  /** Its stats' name without tags, by which families are sorted. */
  stat: string
  type: ViewedStat['kind']
  rows: string[]
}

/** Names that keep theirs: Istio's metrics do without `envoy_`, and without the namespace that they have among the statistics. */
const own = /^istio_/
const ownNamespace = /^istiocustom\./

/** The statistics in Prometheus's text format 0.0.4, names and labels as Envoy makes them. */
export function prometheusText(
  stats: readonly ViewedStat[],
  config: StatsConfig | undefined,
  always: readonly { name: string; value: string }[],
): string {
  const tagged = tagExtractor(config, always)
  const families = new Map<string, Family>()
  for (const stat of stats) {
    const found = untagged(stat, tagged)
    const name = metricName(found.name)
    const labels = found.tags.map(([tag, value]) => `${labelName(tag)}="${labelValue(value)}"`)
    const family = families.get(name) ?? { stat: found.name, type: stat.kind, rows: [] }
    families.set(name, family)
    if (family.type !== stat.kind) continue
    if (stat.kind === 'histogram') family.rows.push(...histogramRows(name, labels, stat))
    else if (stat.kind === 'text') family.rows.push(`${name}${braces([...labels, `text_value="${labelValue(stat.value)}"`])} 0`)
    else family.rows.push(`${name}${braces(labels)} ${stat.value}`)
  }
  const parts: string[] = []
  for (const type of ['counter', 'gauge', 'text', 'histogram'])
    for (const [name, family] of [...families].sort(([, a], [, b]) => (a.stat < b.stat ? -1 : 1)))
      if (family.type === type) parts.push(`# TYPE ${name} ${type === 'text' ? 'gauge' : type}\n${family.rows.join('\n')}\n`)
  return parts.join('')
}

function histogramRows(name: string, labels: readonly string[], stat: Extract<ViewedStat, { kind: 'histogram' }>): string[] {
  return [
    ...stat.bounds.map(
      (bound) => `${name}_bucket${braces([...labels, `le="${boundText(bound)}"`])} ${countBelow(stat.buckets, bound)}`,
    ),
    `${name}_bucket${braces([...labels, 'le="+Inf"'])} ${stat.count}`,
    `${name}_sum${braces(labels)} ${stat.sum}`,
    `${name}_count${braces(labels)} ${stat.count}`,
  ]
}

function braces(labels: readonly string[]): string {
  return `{${labels.join(',')}}`
}

function metricName(name: string): string {
  const clean = name.replace(ownNamespace, '').replaceAll(/[^a-zA-Z0-9_]/g, '_')
  return own.test(clean) ? clean : `envoy_${clean}`
}

function labelValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}

function labelName(tag: string): string {
  return tag.replaceAll(/[^a-zA-Z0-9_]/g, '_')
}
