import { WeftError } from '@weft/service/errors'
import { quantileOf } from '../observe/stats.ts'
import { type AdminContext, type AdminEndpoint, type AdminReply, type AdminRequest, json, text } from './endpoint.ts'
import { bucketBounds, countBelow, shortNumber } from './histogram-buckets.ts'
import { prometheusText } from './prometheus.ts'
import type { StatFilter, ViewedStat } from './stat-view.ts'

/** The quantiles that Envoy shows, in percent. */
const quantiles = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]

type Kind = 'counter' | 'gauge' | 'histogram'
const kinds: Record<string, readonly Kind[]> = {
  All: ['counter', 'gauge', 'histogram'],
  Counters: ['counter'],
  Gauges: ['gauge'],
  Histograms: ['histogram'],
  TextReadouts: [],
}

const parameters = [
  ['usedonly', 'Only include stats that have been written by system since restart'],
  ['filter', 'Regular expression (RE2) for filtering stats'],
  ['invert_filter', 'Invert the filter regex'],
  ['format', 'Format to use; One of (text, json, prometheus)'],
  ['type', 'Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)'],
  ['histogram_buckets', 'Histogram bucket display mode; One of (cumulative, disjoint, summary)'],
] as const

/** `/stats`: counters, gauges and histograms as text, JSON or for Prometheus. */
export const stats: AdminEndpoint = { path: '/stats', streams: true, help: 'print server stats', parameters, handle: show }

/** `/stats/prometheus`. */
export const statsPrometheus: AdminEndpoint = {
  path: '/stats/prometheus',
  streams: true,
  help: 'print server stats in prometheus format',
  parameters: parameters.filter(([name]) => name !== 'format' && name !== 'type'),
  handle: (context, request) => {
    request.query.set('format', 'prometheus')
    return show(context, request)
  },
}

/** `/stats/recentlookups`: there is nothing of the kind here. */
export const statsRecentLookups: AdminEndpoint = {
  path: '/stats/recentlookups',
  help: 'Show recent stat-name lookups',
  handle: () => text('Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n'),
}

/** `/reset_counters`. */
export const resetCounters: AdminEndpoint = {
  path: '/reset_counters',
  post: true,
  help: 'reset all counters to zero',
  handle: ({ stats: view }) => {
    view.reset()
    return text('OK\n')
  },
}

function show({ control, stats: view }: AdminContext, { query }: AdminRequest): AdminReply {
  const format = query.get('format') ?? 'text'
  if (!['text', 'json', 'prometheus'].includes(format)) return text('usage: /stats?format=(json|prometheus|text)\n\n', 400)
  const wanted = kinds[query.get('type') ?? 'All']
  if (wanted === undefined) return text('invalid &type= param', 400)
  const buckets = query.get('histogram_buckets') ?? 'summary'
  if (!['summary', 'cumulative', 'disjoint', 'none'].includes(buckets))
    return text('usage: /stats?histogram_buckets=(cumulative|disjoint|none)\n', 400)
  const pattern = query.get('filter')
  const filter: StatFilter = {
    kinds: new Set(wanted),
    usedOnly: query.has('usedonly'),
    invert: query.has('invert_filter'),
    ...(pattern === null ? {} : { pattern }),
  }
  let listed: ViewedStat[]
  try {
    listed = view.list(filter)
  } catch (error) {
    return text(`Invalid re2 regex: ${WeftError.from(error).message}`, 400)
  }
  if (format === 'prometheus') return text(prometheusText(listed, control.settings.stats, control.flags.statsTags))
  return format === 'json' ? asJson(listed) : text(asText(listed, buckets))
}

function asText(listed: readonly ViewedStat[], buckets: string): string {
  const lines = listed.flatMap((stat) => (stat.kind === 'histogram' ? [] : [`${stat.name}: ${stat.value}`]))
  for (const stat of listed) if (stat.kind === 'histogram') lines.push(`${stat.name}: ${histogramText(stat, buckets)}`)
  return `${lines.join('\n')}\n`
}

function histogramText(stat: Extract<ViewedStat, { kind: 'histogram' }>, mode: string): string {
  if (stat.count === 0) return 'No recorded values'
  if (mode === 'summary' || mode === 'none')
    return quantiles
      .map(
        (percent) =>
          `P${percent}(${shown(quantileOf(stat.interval, percent / 100))},${shown(quantileOf(stat.buckets, percent / 100))})`,
      )
      .join(' ')
  let before = [0, 0]
  return bucketBounds
    .map((bound) => {
      const now = [countBelow(stat.interval, bound), countBelow(stat.buckets, bound)]
      const [a = 0, b = 0] = mode === 'cumulative' ? now : now.map((count, at) => count - (before[at] ?? 0))
      before = now
      return `B${shortNumber(bound)}(${a},${b})`
    })
    .join(' ')
}

function asJson(listed: readonly ViewedStat[]): AdminReply {
  const entries: unknown[] = listed.flatMap((stat) => (stat.kind === 'histogram' ? [] : [{ name: stat.name, value: stat.value }]))
  const histograms = listed.filter((stat) => stat.kind === 'histogram')
  if (histograms.length > 0)
    entries.push({
      histograms: {
        supported_quantiles: quantiles,
        computed_quantiles: histograms.map((stat) => ({
          name: stat.name,
          values: quantiles.map((percent) => ({
            cumulative: numberOrNull(quantileOf(stat.buckets, percent / 100)),
            interval: numberOrNull(quantileOf(stat.interval, percent / 100)),
          })),
        })),
      },
    })
  return { ...json(undefined), body: JSON.stringify({ stats: entries }) }
}

function numberOrNull(value: number): number | null {
  return Number.isNaN(value) ? null : Number(value.toPrecision(6))
}

function shown(value: number): string {
  return Number.isNaN(value) ? 'nan' : shortNumber(value)
}
