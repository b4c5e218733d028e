import { WeftError } from '@weft/service/errors'
import { compileRegex, type Regex } from '../routing/matchers/regex.ts'

/** A pattern that may match anywhere in a text (`fullMatch`), of any size. Throws WeftError for one that is none, as it was given. */
export function searchRegex(pattern: string): Regex {
  compileRegex(pattern, 'filter', Number.POSITIVE_INFINITY)
  return compileRegex(`(?s:.*)(?:${pattern})(?s:.*)`, 'filter', Number.POSITIVE_INFINITY)
}

/** RE2's own words for what the library at hand says otherwise. */
const words: Record<string, string> = {
  'missing closing )': 'missing )',
  'missing closing ]': 'missing ]',
  'missing argument to repetition operator': 'no argument for repetition operator',
  'invalid nested repetition operator': 'bad repetition operator',
  'invalid repeat count': 'invalid repetition size',
  'invalid or unsupported Perl syntax': 'invalid perl operator',
  'trailing backslash at end of expression': 'trailing \\',
  'invalid named capture': 'invalid named capture group',
}

/** What is wrong with a regular expression that `compileRegex` refused, as RE2 says it: `missing ): (`. */
export function regexFault(thrown: unknown): string {
  const { message } = WeftError.from(thrown)
  const [, reason, part] = /error parsing regexp: (.*?)(?:: `([\s\S]*)`)?$/.exec(message) ?? []
  if (reason === undefined) return message
  const said = words[reason] ?? reason
  return part === undefined ? said : `${said}: ${part}`
}
