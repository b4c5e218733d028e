import { wireText } from '../../observe/format/wire-text.ts'
import { invalid, unsupported } from '../../plan/problems.ts'
import { compileRegex } from './regex.ts'

/** A `StringMatcher` of Envoy's or of xDS's own types. */
interface StringMatcher {
  ignoreCase: boolean
  matchPattern:
    | { $case: 'exact' | 'prefix' | 'suffix' | 'contains'; value: string }
    | { $case: 'safeRegex'; value: { regex: string } }
    | { $case: 'custom'; value: { name: string } }
    | undefined
}

export type TextMatcher = (text: string) => boolean

/**
 * Compiles an `envoy.type.matcher.v3.StringMatcher` of text as headers are kept, a character a byte (`wireText`); `path` stands
 * in errors.
 */
export function compileStringMatcher(matcher: StringMatcher, path: string): TextMatcher {
  const pattern = matcher.matchPattern
  if (pattern === undefined) throw invalid(path, 'the string matcher says nothing to match')
  if (pattern.$case === 'safeRegex') {
    if (matcher.ignoreCase) throw invalid(`${path}.ignore_case`, 'ignore_case has no effect for safe_regex.')
    const regex = compileRegex(pattern.value.regex, `${path}.safe_regex`)
    return (text) => regex.fullMatch(text)
  }
  if (pattern.$case === 'custom') throw unsupported(`${path}.custom`, `string matcher '${pattern.value.name}'`)
  const value = wireText(pattern.value)
  const wanted = matcher.ignoreCase ? value.toLowerCase() : value
  const plain = compilePlain(pattern.$case, wanted)
  return matcher.ignoreCase ? (text) => plain(text.toLowerCase()) : plain
}

/** The same for text that is not from the wire: metadata, names in certificates. */
export function compileTextMatcher(matcher: StringMatcher, path: string): TextMatcher {
  const matches = compileStringMatcher(matcher, path)
  return (text) => matches(wireText(text))
}

function compilePlain(kind: 'exact' | 'prefix' | 'suffix' | 'contains', wanted: string): TextMatcher {
  switch (kind) {
    case 'exact':
      return (text) => text === wanted
    case 'prefix':
      return (text) => text.startsWith(wanted)
    case 'suffix':
      return (text) => text.endsWith(wanted)
    case 'contains':
      return (text) => text.includes(wanted)
  }
}
