import type { RuntimeFractionalPercent } from '@weft/contracts/envoy/config/core/v3/base'
import type { FractionalPercent } from '@weft/contracts/envoy/type/v3/percent'

/** The merged runtime of a thread: values by key, replaced as a whole. Compiled code keeps the object and asks each time. */
export class Runtime {
  private values: Readonly<Record<string, string | number | boolean>> = {}
  /** 0 ≤ x < 1; replaced by tests. */
  random: () => number = Math.random

  /** Grows with each replacement. */
  generation = 0

  private isEmpty = true

  replace(values: Readonly<Record<string, string | number | boolean>>): void {
    this.values = values
    this.isEmpty = Object.keys(values).length === 0
    this.generation++
  }

  number(key: string, fallback: number): number {
    if (this.isEmpty) return fallback
    const value = this.values[key]
    if (value === undefined || value === '') return fallback
    const number = Number(value)
    return Number.isFinite(number) ? number : fallback
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.values[key]
    return typeof value === 'boolean' ? value : value === 'true' ? true : value === 'false' ? false : fallback
  }
}

const denominators = [100, 10_000, 1_000_000]

/** The share (0…1) that a fractional percent says. */
export function fractionOf(percent: FractionalPercent | undefined): number {
  return percent === undefined ? 0 : percent.numerator / (denominators[percent.denominator] ?? 100)
}

/**
 * A draw: true with the configured share, which the runtime key overrides (a number, in the denominator's unit).
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
  const denominator = denominators[fraction.defaultValue?.denominator ?? 0] ?? 100
  return (draw) => (draw ?? runtime.random()) < runtime.number(key, share * denominator) / denominator
}
