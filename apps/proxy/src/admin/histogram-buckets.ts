import type { HistogramBucketSettings } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { bucketRange } from '../observe/buckets.ts'
import { compileTextMatcher } from '../routing/matchers/string-matcher.ts'

/** The upper bounds that Envoy's histograms have for Prometheus, unless they are configured. */
export const standardBounds: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
]

/** Gives the bounds of a histogram by its name: those of the first setting that matches it, in order, or the standard ones. */
export function bucketBounds(settings: readonly HistogramBucketSettings[]): (name: string) => readonly number[] {
  const compiled = settings.map(({ match, buckets }, i) => ({
    matches: match === undefined ? () => false : compileTextMatcher(match, `stats_config.histogram_bucket_settings[${i}].match`),
    bounds: buckets.toSorted((a, b) => a - b),
  }))
  return (name) => compiled.find(({ matches }) => matches(name))?.bounds ?? standardBounds
}

/** A bound as Envoy's label says it: all digits that its binary form has, 32 at most. */
export function boundText(bound: number): string {
  const text = bound.toPrecision(32)
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** How many recorded values lie below a bound: a bucket counts when its middle does. */
export function countBelow(buckets: Float64Array, bound: number): number {
  let count = 0
  for (let index = 0; index < buckets.length; index++) {
    const held = buckets[index] ?? 0
    if (held === 0) continue
    const { low, width } = bucketRange(index)
    if (index === 0 ? bound > 0 : low + width / 2 <= bound) count += held
  }
  return count
}

/** Six significant digits at most, as C's `%g`: `1.8e+06`, `16.5`. */
export function shortNumber(value: number): string {
  if (value === 0) return '0'
  const rounded = Number(value.toPrecision(6))
  const exponent = Math.floor(Math.log10(Math.abs(rounded)))
  if (exponent >= -5 && exponent < 6) return String(rounded)
  const [mantissa = '', power = ''] = rounded.toExponential().split('e')
  return `${mantissa}e${power.startsWith('-') ? '-' : '+'}${power.replace(/^[-+]/, '').padStart(2, '0')}`
}
