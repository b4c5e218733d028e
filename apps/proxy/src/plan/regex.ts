import { RE2JS } from 're2js'
import { invalid } from './problems.ts'

/** A compiled safe_regex. */
export interface SafeRegex {
  /** Whether the whole text matches. */
  matches(text: string): boolean
  /** Every match replaced; `\1` in the substitution is a group. */
  replaceAll(text: string, substitution: string): string
}

/** Steps that backtracking may take at worst, for Node's own RegExp to be used: about a millisecond. */
const maxSteps = 300_000
const maxPattern = 8192

/**
 * Compiles a regular expression of RE2's syntax. RE2's semantics and linear time are kept: Node's engine, which is many
 * times faster on usual patterns, only runs where it means the same and its backtracking is bounded by the text's length.
 */
export function compileRegex(pattern: string, path: string): SafeRegex {
  if (pattern.length > maxPattern) throw invalid(path, `the regular expression is longer than ${maxPattern} characters`)
  let linear: RE2JS
  try {
    linear = RE2JS.compile(pattern)
  } catch (error) {
    throw invalid(path, `invalid regular expression '${pattern}': ${error instanceof Error ? error.message : String(error)}`)
  }
  const power = backtrackingPower(pattern)
  const native = power === null ? null : new RegExp(`^(?:${pattern})$`)
  const limit = power === null ? 0 : power === 0 ? Number.POSITIVE_INFINITY : maxSteps ** (1 / power)
  return {
    matches:
      native === null
        ? (text) => linear.matches(text)
        : (text) => (text.length <= limit ? native.test(text) : linear.matches(text)),
    replaceAll: (text, substitution) => linear.matcher(text).replaceAll(toReplacement(substitution)),
  }
}

/** Envoy's `\1` as RE2JS's `$1`, with a literal `$` kept. */
function toReplacement(substitution: string): string {
  return substitution.replaceAll(/\\(\d|\\)|\$/g, (match, group: string | undefined) => {
    if (match === '$') return '\\$'
    return group === '\\' ? '\\\\' : `$${group}`
  })
}

/**
 * How many unbounded repetitions the pattern has, one inside the other never; null when the engines may differ in meaning
 * or the bound is not known (a repeated group, flags, classes by name).
 */
function backtrackingPower(pattern: string): number | null {
  if (/\(\?(?!:)|\[\[:|\[\^?\]|\\[^.\-/\\?*+()[\]{}|^$dw]|\)[*+{]|\{\d+,?\d*\}/.test(pattern)) return null
  const unescaped = pattern.replaceAll(/\\./g, 'x').replaceAll(/\[[^\]]*\]/g, 'x')
  return (unescaped.match(/[*+]/g) ?? []).length
}
