import { bucketRange, quantileOf } from '../observe/buckets.ts'
import { type AdminContext, type AdminEndpoint, type AdminReply, type AdminRequest, text } from './endpoint.ts'
import { countBelow, shortNumber } from './histogram-buckets.ts'
import { prometheusText } from './prometheus.ts'
import { regexFault, searchRegex } from './regex-fault.ts'
import type { StatFilter, ViewedStat } from './stat-view.ts'

/** The quantiles that Envoy shows, in percent. */
const quantiles = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]

const kinds: Record<string, readonly ViewedStat['kind'][]> = {
  All: ['text', 'counter', 'gauge', 'histogram'],
  Counters: ['counter'],
  Gauges: ['gauge'],
  Histograms: ['histogram'],
  TextReadouts: ['text'],
}

const parameters = [
  ['usedonly', 'Only include stats that have been written by system since restart'],
  ['filter', 'Regular expression (RE2) for filtering stats'],
  ['invert_filter', 'Invert the filter regex'],
  ['format', 'Format to use; One of (html, active-html, text, json, prometheus)'],
  ['type', 'Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)'],
  ['hidden', 'Whether hidden stats are shown; One of (include, only, exclude)'],
  ['histogram_buckets', 'Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)'],
] as const

/** `/stats`: counters, gauges and histograms as text, JSON or for Prometheus. */
export const stats: AdminEndpoint = { path: '/stats', help: 'print server stats', parameters, handle: show }

/** `/stats/prometheus`. */
export const statsPrometheus: AdminEndpoint = {
  path: '/stats/prometheus',
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

/** What would begin and end that: taken, since nobody minds. */
export const lookupSwitches: readonly AdminEndpoint[] = [
  ['clear', 'clear list of stat-name lookups and counter'],
  ['disable', 'disable recording of reset stat-name lookup names'],
  ['enable', 'enable recording of reset stat-name lookup names'],
].map(([name, help = '']) => ({
  path: `/stats/recentlookups/${name}`,
  post: true,
  help,
  handle: () => text('OK\n'),
}))

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
  const format = query.get('format') || 'text'
  if (!['text', 'html', 'active-html', 'json', 'prometheus'].includes(format))
    return text('usage: /stats?format=(html|active-html|json|prometheus|text)\n\n', 400)
  const wanted = kinds[query.get('type') || 'All']
  if (wanted === undefined) return text('invalid &type= param', 400)
  const asked = query.get('histogram_buckets') || 'summary'
  const buckets = bucketModes.find((mode) => mode === (asked === 'none' ? 'summary' : asked))
  if (buckets === undefined)
    return text('usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)\n', 400)
  const hidden = query.get('hidden') ?? 'exclude'
  if (!['include', 'only', 'exclude'].includes(hidden)) return text('usage: /stats?hidden=(include|only|exclude)\n\n', 400)
  // No stat here is hidden.
  const shownKinds = hidden === 'only' ? [] : wanted
  const pattern = query.get('filter')
  const filter: StatFilter = {
    kinds: new Set(
      format === 'prometheus' && !query.has('text_readouts') ? shownKinds.filter((kind) => kind !== 'text') : shownKinds,
    ),
    usedOnly: query.has('usedonly'),
    invert: query.has('invert_filter'),
    ...(pattern === null ? {} : { pattern }),
  }
  try {
    if (pattern !== null) searchRegex(pattern)
  } catch (error) {
    return text(`Invalid re2 regex: ${regexFault(error)}`, 400)
  }
  const list = () => view.list(filter)
  if (format === 'prometheus') return { body: () => prometheusText(list(), control.settings.stats, control.flags.statsTags) }
  if (format === 'json') return { type: 'application/json', body: () => asJson(list(), buckets) }
  if (format === 'text') return { body: () => asText(list(), buckets) }
  return { type: 'text/html; charset=UTF-8', body: () => asHtml(list(), buckets) }
}

/** How histograms are shown. */
const bucketModes = ['summary', 'cumulative', 'disjoint', 'detailed'] as const
type BucketMode = (typeof bucketModes)[number]
type ViewedHistogram = Extract<ViewedStat, { kind: 'histogram' }>

function isNumber(stat: ViewedStat): stat is Extract<ViewedStat, { kind: 'counter' | 'gauge' }> {
  return stat.kind === 'counter' || stat.kind === 'gauge'
}

function asText(listed: readonly ViewedStat[], buckets: BucketMode): string {
  const lines = [
    ...listed.flatMap((stat) => (stat.kind === 'text' ? [`${stat.name}: "${htmlEscaped(stat.value)}"`] : [])),
    ...listed.flatMap((stat) => (isNumber(stat) ? [`${stat.name}: ${stat.value}`] : [])),
  ]
  for (const stat of listed) if (stat.kind === 'histogram') lines.push(`${stat.name}:${histogramText(stat, buckets)}`)
  return lines.map((line) => `${line}\n`).join('')
}

/** For browsers; the same page for both of Envoy's. */
function asHtml(listed: readonly ViewedStat[], buckets: BucketMode): string {
  return `<!DOCTYPE html><html lang="en"><title>Stats</title><pre>${htmlEscaped(asText(listed, buckets))}</pre></html>\n`
}

function histogramText(stat: ViewedHistogram, mode: BucketMode): string {
  if (stat.count === 0) return ' No recorded values'
  const summary = quantiles
    .map(
      (percent) =>
        `P${percent}(${shown(quantileOf(stat.interval, percent / 100))},${shown(quantileOf(stat.buckets, percent / 100))})`,
    )
    .join(' ')
  if (mode === 'summary') return ` ${summary}`
  if (mode === 'detailed') {
    const held = (buckets: Float64Array) =>
      filled(buckets).map(({ low, width, count }) => `${shortNumber(low)},${shortNumber(width)}:${count}`)
    return `\n  totals=${held(stat.buckets).join(', ')}\n  intervals=${held(stat.interval).join(', ')}\n  summary=${summary}`
  }
  return ` ${bounded(stat, mode)
    .map(({ bound, interval, cumulative }) => `B${shortNumber(bound)}(${interval},${cumulative})`)
    .join(' ')}`
}

/** What lies below each of the bounds, or between it and the one before; in the last interval and in all. */
function bounded(
  stat: ViewedHistogram,
  mode: 'cumulative' | 'disjoint',
): { bound: number; interval: number; cumulative: number }[] {
  let before = [0, 0]
  return stat.bounds.map((bound) => {
    const now = [countBelow(stat.interval, bound), countBelow(stat.buckets, bound)]
    const [interval = 0, cumulative = 0] = mode === 'cumulative' ? now : now.map((count, at) => count - (before[at] ?? 0))
    before = now
    return { bound, interval, cumulative }
  })
}

/** The buckets that hold something. */
function filled(buckets: Float64Array): { low: number; width: number; count: number }[] {
  const held: { low: number; width: number; count: number }[] = []
  for (const [index, count] of buckets.entries())
    if (count > 0) held.push({ ...(index === 0 ? { low: 0, width: 0 } : bucketRange(index)), count })
  return held
}

function histogramsJson(histograms: readonly ViewedHistogram[], mode: BucketMode): unknown {
  const values = (stat: ViewedHistogram) =>
    quantiles.map((percent) => ({
      cumulative: numberOrNull(quantileOf(stat.buckets, percent / 100)),
      interval: numberOrNull(quantileOf(stat.interval, percent / 100)),
    }))
  if (mode === 'summary')
    return {
      supported_quantiles: quantiles,
      computed_quantiles: histograms.map((stat) => ({ name: stat.name, values: values(stat) })),
    }
  if (mode === 'detailed') {
    const held = (buckets: Float64Array) => filled(buckets).map(({ low, width, count }) => ({ lower_bound: low, width, count }))
    return {
      supported_percentiles: quantiles,
      details: histograms.map((stat) => ({
        name: stat.name,
        totals: held(stat.buckets),
        intervals: held(stat.interval),
        percentiles: values(stat),
      })),
    }
  }
  return histograms.map((stat) => ({
    name: stat.name,
    buckets: bounded(stat, mode).map(({ bound, interval, cumulative }) => ({ upper_bound: bound, interval, cumulative })),
  }))
}

function asJson(listed: readonly ViewedStat[], buckets: BucketMode): string {
  const entry = (name: string, value: string): string => `{"name":${JSON.stringify(name)},"value":${value}}`
  const entries = [
    ...listed.flatMap((stat) => (stat.kind === 'text' ? [entry(stat.name, JSON.stringify(stat.value))] : [])),
    ...listed.flatMap((stat) => (isNumber(stat) ? [entry(stat.name, String(stat.value))] : [])),
  ]
  const histograms = listed.filter((stat) => stat.kind === 'histogram')
  if (histograms.length > 0) entries.push(JSON.stringify({ histograms: histogramsJson(histograms, buckets) }))
  return `{"stats":[${entries.join(',')}]}`
}

/** As Envoy shows words to browsers. */
function htmlEscaped(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
  return text.replaceAll(/[&<>"']/g, (sign) => names[sign] ?? sign)
}

function numberOrNull(value: number): number | null {
  return Number.isNaN(value) ? null : Number(value.toPrecision(6))
}

function shown(value: number): string {
  return Number.isNaN(value) ? 'nan' : shortNumber(value)
}
