import type { StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import { invalid, unsupported } from './problems.ts'
import { compileRegex } from './regex.ts'

/** A StringMatcher (envoy.type.matcher.v3) as a function. `ignore_case` does not apply to regular expressions. */
export function compileStringMatcher(matcher: StringMatcher | undefined, path: string): (text: string) => boolean {
  const pattern = matcher?.matchPattern
  if (matcher === undefined || pattern === undefined) throw invalid(path, 'a match pattern is needed')
  const fold = matcher.ignoreCase
  switch (pattern.$case) {
    case 'exact': {
      const wanted = fold ? pattern.value.toLowerCase() : pattern.value
      return fold ? (text) => text.toLowerCase() === wanted : (text) => text === wanted
    }
    case 'prefix': {
      const wanted = fold ? pattern.value.toLowerCase() : pattern.value
      if (wanted === '') throw invalid(`${path}.prefix`, 'must not be empty')
      return fold ? (text) => text.toLowerCase().startsWith(wanted) : (text) => text.startsWith(wanted)
    }
    case 'suffix': {
      const wanted = fold ? pattern.value.toLowerCase() : pattern.value
      if (wanted === '') throw invalid(`${path}.suffix`, 'must not be empty')
      return fold ? (text) => text.toLowerCase().endsWith(wanted) : (text) => text.endsWith(wanted)
    }
    case 'contains': {
      const wanted = fold ? pattern.value.toLowerCase() : pattern.value
      if (wanted === '') throw invalid(`${path}.contains`, 'must not be empty')
      return fold ? (text) => text.toLowerCase().includes(wanted) : (text) => text.includes(wanted)
    }
    case 'safeRegex': {
      const regex = compileRegex(pattern.value.regex, `${path}.safe_regex`)
      return (text) => regex.matches(text)
    }
    case 'custom':
      throw unsupported(`${path}.custom`, `string matcher '${pattern.value.name}'`)
  }
}
