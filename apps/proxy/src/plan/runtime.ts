import type { RuntimeFeatureFlag, RuntimeFractionalPercent } from '@weft/contracts/envoy/config/core/v3/base'
import type { FractionalPercent } from '@weft/contracts/envoy/type/v3/percent'

/** A value of the runtime; a fractional percent is its share (0…1). */
export type RuntimeValue = string | number | boolean | { readonly share: number }
export type RuntimeValues = Readonly<Record<string, RuntimeValue>>

/** The merged runtime of a thread: values by key, replaced as a whole. Compiled code keeps the object and asks each time. */
export class Runtime {
  private values: RuntimeValues = {}
  /** 0 ≤ x < 1; replaced by tests. */
  random: () => number = Math.random

  /** Grows with each replacement. */
  generation = 0

  private isEmpty = true

  replace(values: RuntimeValues): void {
    this.values = values
    this.isEmpty = Object.keys(values).length === 0
    this.generation++
  }

  /** A number that is not negative, its fraction cut off; `fallback` for every other value. */
  number(key: string, fallback: number): number {
    if (this.isEmpty) return fallback
    const value = this.values[key]
    return isCount(value) ? Math.floor(value) : fallback
  }

  /** Any number. */
  double(key: string, fallback: number): number {
    if (this.isEmpty) return fallback
    const value = this.values[key]
    return typeof value === 'number' ? value : fallback
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.values[key]
    return typeof value === 'boolean' ? value : fallback
  }

  /** A share (0…1): a fractional percent, or a number, whose whole part is per cent whatever the fallback's unit. */
  share(key: string, fallback: number): number {
    if (this.isEmpty) return fallback
    const value = this.values[key]
    if (isCount(value)) return Math.min(1, Math.floor(value) / 100)
    return typeof value === 'object' ? value.share : fallback
  }
}

function isCount(value: RuntimeValue | undefined): value is number {
  return typeof value === 'number' && value >= 0
}

const denominators = [100, 10_000, 1_000_000]

/** What a fractional percent is a fraction of. */
export function denominatorOf(percent: FractionalPercent | undefined): number {
  return denominators[percent?.denominator ?? 0] ?? 100
}

/** The share (0…1) that a fractional percent says. */
export function fractionOf(percent: FractionalPercent | undefined): number {
  return percent === undefined ? 0 : percent.numerator / denominatorOf(percent)
}

/**
 * A draw: true with the configured share, which the runtime key overrides.
 * Shares 0 and 1 without a key draw nothing. `draw` gives 0 ≤ x < 1 and defaults to the runtime's random.
 */
export function compileFraction(runtime: Runtime, fraction: RuntimeFractionalPercent): (draw?: number) => boolean {
  const share = fractionOf(fraction.defaultValue)
  const key = fraction.runtimeKey
  if (key === '') {
    if (share >= 1) return () => true
    if (share <= 0) return () => false
    return (draw) => (draw ?? runtime.random()) < share
  }
  return (draw) => (draw ?? runtime.random()) < runtime.share(key, share)
}

/** A switch that the runtime may turn; `fallback` where nothing is configured. */
export function compileFeatureFlag(flag: RuntimeFeatureFlag | undefined, runtime: Runtime, fallback = true): () => boolean {
  if (flag === undefined) return () => fallback
  const standing = flag.defaultValue ?? true
  return flag.runtimeKey === '' ? () => standing : () => runtime.boolean(flag.runtimeKey, standing)
}
