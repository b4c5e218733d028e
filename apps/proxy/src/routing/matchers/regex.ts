import { createRequire } from 'node:module'
import { WeftError } from '@weft/service/errors'
import type { RE2JS } from 're2js'
import { wireText } from '../../observe/format/wire-text.ts'
import { invalid } from '../../plan/problems.ts'
import type { RuntimeValues } from '../../plan/runtime.ts'
import { programSize } from './program-size.ts'

/** A compiled safe_regex: RE2's syntax, and time linear in the input whatever the pattern. */
export interface Regex {
  readonly pattern: string
  /** Whether the whole text matches. */
  fullMatch(text: string): boolean
  /** Every match replaced; `\1` stands for a group, `\0` for the whole match, `\\` for a backslash. */
  replaceAll(text: string, substitution: string): string
}

/** Longest pattern taken. */
const maxPattern = 8_192
/** Largest program, in RE2's instructions, unless the runtime says otherwise. */
const usualProgram = 100
let largestProgram = usualProgram

/** Takes over what the runtime says of the largest program: `re2.max_program_size.error_level`, by default 100. */
export function limitPrograms(runtime: RuntimeValues): void {
  const limit = runtime['re2.max_program_size.error_level']
  largestProgram = typeof limit === 'number' && limit >= 0 ? Math.floor(limit) : usualProgram
}

/** Steps that backtracking may take at worst, for Node's own engine to be used: about a millisecond. */
const maxSteps = 300_000

/**
 * Compiles a pattern of text as headers are kept, a character a byte; throws a WeftError at `path` for what RE2 would not take,
 * and for a pattern whose program is larger than `limit`. Node's engine, many times faster on usual patterns, runs only where
 * it means the same and where the text's length bounds its backtracking.
 */
export function compileRegex(source: string, path: string, limit = largestProgram): Regex {
  const pattern = wireText(source)
  if (pattern.length > maxPattern) throw invalid(path, `the regular expression is longer than ${maxPattern} characters`)
  let linear: RE2JS
  try {
    linear = re2().compile(pattern)
  } catch (error) {
    throw invalid(path, `invalid regular expression '${source}': ${WeftError.from(error).message}`)
  }
  const size = programSize(linear)
  if (size > limit)
    throw invalid(
      path,
      `regex '${source}' RE2 program size of ${size} > max program size of ${limit}`,
      're2.max_program_size.error_level of the runtime says how large one may be',
    )
  const power = backtrackingPower(pattern)
  const native = power === null ? null : new RegExp(`^(?:${pattern})$`)
  const longest = power === null ? 0 : power === 0 ? Number.POSITIVE_INFINITY : maxSteps ** (1 / power)
  return {
    pattern: source,
    fullMatch: (text) => (native !== null && text.length <= longest ? native.test(text) : linear.matches(text)),
    replaceAll(text, substitution) {
      return replaceMatches(linear, text, wireText(substitution))
    },
  }
}

/** Most steps that RE2 makes of an expression's pattern. */
const maxSearchProgram = 100
const searches = new Map<string, (text: string) => boolean>()
const mostSearches = 256

/**
 * Says whether a pattern is found anywhere in a text, in time linear to it; patterns that come with requests are compiled once
 * while they are in use. Throws `invalid_argument` for a bad one, and for one of more than a hundred steps, as Envoy's CEL does.
 */
export function regexSearch(pattern: string): (text: string) => boolean {
  const known = searches.get(pattern)
  if (known !== undefined) return known
  let compiled: RE2JS
  try {
    compiled = re2().compile(pattern.slice(0, maxPattern + 1))
  } catch (error) {
    throw new WeftError('invalid_argument', `invalid regular expression: ${WeftError.from(error).message}`)
  }
  if (compiled.programSize() > maxSearchProgram || pattern.length > maxPattern)
    throw new WeftError('invalid_argument', 'regular expression exceeds max allowed size')
  const search = (text: string): boolean => compiled.test(text)
  if (searches.size >= mostSearches) searches.clear()
  searches.set(pattern, search)
  return search
}

let library: typeof RE2JS | undefined

/** Loaded with the first pattern: most workers have none. */
function re2(): typeof RE2JS {
  library ??= (createRequire(import.meta.url)('re2js') as { RE2JS: typeof RE2JS }).RE2JS
  return library
}

/** As RE2 replaces all matches: an empty one where the last ended is none, where other engines take it for one more. */
function replaceMatches(pattern: RE2JS, text: string, substitution: string): string {
  const matcher = pattern.matcher(text)
  let made = ''
  let at = 0
  for (let lastEnd = -1; at <= text.length && matcher.find(at); ) {
    const [start, end] = [matcher.start(), matcher.end()]
    made += text.slice(at, start)
    if (start === end && start === lastEnd) {
      made += text.slice(start, start + 1)
      at = start + 1
      continue
    }
    made += substitution.replaceAll(/\\(\d|\\)/g, (_match, group: string) =>
      group === '\\' ? '\\' : (matcher.group(Number(group)) ?? ''),
    )
    at = end
    lastEnd = end
  }
  return made + text.slice(at)
}

/**
 * How many unbounded repetitions the pattern has, one inside the other never; null when the engines may differ in meaning
 * or the bound is not known (a repeated group, flags, classes by name).
 */
function backtrackingPower(pattern: string): number | null {
  if (/\(\?(?!:)|\[\[:|\[\^?\]|\\[^.\-/\\?*+()[\]{}|^$dw]|[)^$][*+?{]|\{\d+,?\d*\}/.test(pattern)) return null
  const unescaped = pattern.replaceAll(/\\./g, 'x').replaceAll(/\[[^\]]*\]/g, 'x')
  return (unescaped.match(/[*+]/g) ?? []).length
}
