/** Buckets of a histogram: 0, then 90 for each power of ten (two significant digits, as Envoy's), for 10^0 … 10^8. */
const histogramDecades = 9
export const histogramBuckets = 1 + 90 * histogramDecades

/** Index of the bucket that holds `value`. */
export function bucketOf(value: number): number {
  if (!(value >= 1)) return 0
  let decade = 0
  let scaled = value
  while (scaled >= 10 && decade < histogramDecades - 1) {
    scaled /= 10
    decade++
  }
  if (scaled >= 10) return histogramBuckets - 1
  return 1 + decade * 90 + Math.min(89, Math.floor(scaled * 10 + 1e-9) - 10)
}

/** Lower bound and width of a bucket. */
export function bucketRange(index: number): { low: number; width: number } {
  if (index === 0) return { low: 0, width: 1 }
  const decade = Math.floor((index - 1) / 90)
  const width = 10 ** decade / 10
  return { low: (((index - 1) % 90) + 10) * width, width }
}

/** The value below which `quantile` (0…1) of the recorded values lie, interpolated inside its bucket. */
export function quantileOf(buckets: Float64Array, quantile: number): number {
  let total = 0
  for (const count of buckets) total += count
  if (total === 0) return Number.NaN
  const rank = quantile * total
  let seen = 0
  for (let i = 0; i < buckets.length; i++) {
    const count = buckets[i]!
    if (count === 0) continue
    if (seen + count >= rank) {
      const { low, width } = bucketRange(i)
      return i === 0 ? 0 : low + width * Math.max(0, (rank - seen) / count)
    }
    seen += count
  }
  return Number.NaN
}
