import { RE2JS } from 're2js'
import { evaluationError } from '../expression-error.ts'

/** RE2 needs memory and time in proportion to these, whatever the pattern says. */
const MAX_PATTERN_LENGTH = 4096
const MAX_PROGRAM_SIZE = 20_000
const MAX_SUBJECT_LENGTH = 65_536
const CACHED_PATTERNS = 256

/** A compiled regular expression with RE2's syntax and linear time; it matches anywhere in the subject. */
export interface Pattern {
  test(subject: string): boolean
}

/** Compiles a pattern. Throws `invalid_argument` for a bad or an oversized one. */
export function compilePattern(pattern: string): Pattern {
  if (pattern.length > MAX_PATTERN_LENGTH)
    throw evaluationError(`regular expression is longer than ${MAX_PATTERN_LENGTH} characters`)
  const compiled = compileRe2(pattern)
  if (compiled.programSize() > MAX_PROGRAM_SIZE) {
    throw evaluationError(`regular expression is too large once expanded: '${pattern.slice(0, 200)}'`)
  }
  return {
    test(subject) {
      if (subject.length > MAX_SUBJECT_LENGTH)
        throw evaluationError(`string of ${subject.length} characters is too long for matches()`)
      return compiled.test(subject)
    },
  }
}

const cache = new Map<string, Pattern>()

/** As {@link compilePattern}, for patterns that come with the request: the last few hundred are kept. */
export function cachedPattern(pattern: string): Pattern {
  const known = cache.get(pattern)
  if (known !== undefined) return known
  const compiled = compilePattern(pattern)
  if (cache.size >= CACHED_PATTERNS) {
    for (const oldest of cache.keys()) {
      cache.delete(oldest)
      break
    }
  }
  cache.set(pattern, compiled)
  return compiled
}

function compileRe2(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern)
  } catch (thrown) {
    throw evaluationError(thrown instanceof Error ? thrown.message : String(thrown))
  }
}
