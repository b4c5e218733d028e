import type { MetadataMatcher } from '@weft/contracts/envoy/type/matcher/v3/metadata'
import type { ValueMatcher } from '@weft/contracts/envoy/type/matcher/v3/value'
import { invalid } from '../../plan/problems.ts'
import { compileTextMatcher } from './string-matcher.ts'

type Metadata = Readonly<Record<string, unknown>> | null

/** Compiles an `envoy.type.matcher.v3.MetadataMatcher` over metadata by namespace. */
export function compileMetadataMatcher(matcher: MetadataMatcher, path: string): (metadata: Metadata) => boolean {
  const keys = [matcher.filter, ...matcher.path.map((segment) => segment.segment?.value ?? '')]
  if (matcher.value === undefined) throw invalid(`${path}.value`, 'a value matcher is needed')
  const matches = compileValueMatcher(matcher.value, `${path}.value`)
  return (metadata) => {
    let value: unknown = metadata
    for (const key of keys) {
      value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
    }
    return matches(value) !== matcher.invert
  }
}

/** Compiles an `envoy.type.matcher.v3.ValueMatcher`; undefined is an absent value. */
function compileValueMatcher(matcher: ValueMatcher, path: string): (value: unknown) => boolean {
  const pattern = matcher.matchPattern
  if (pattern === undefined) throw invalid(path, 'a match pattern is needed')
  switch (pattern.$case) {
    case 'nullMatch':
      return (value) => value === null
    case 'doubleMatch': {
      const wanted = pattern.value.matchPattern
      if (wanted?.$case === 'exact') return (value) => value === wanted.value
      if (wanted?.$case === 'range')
        return (value) => typeof value === 'number' && value >= wanted.value.start && value < wanted.value.end
      throw invalid(`${path}.double_match`, 'a range or exact value is needed')
    }
    case 'stringMatch': {
      const matches = compileTextMatcher(pattern.value, `${path}.string_match`)
      return (value) => typeof value === 'string' && matches(value)
    }
    case 'boolMatch':
      return (value) => value === pattern.value
    case 'presentMatch':
      return (value) => (value !== undefined) === pattern.value
    case 'listMatch': {
      const one = pattern.value.matchPattern?.value
      if (one === undefined) throw invalid(`${path}.list_match`, 'one_of is needed')
      const matches = compileValueMatcher(one, `${path}.list_match.one_of`)
      return (value) => Array.isArray(value) && value.some((item) => matches(item))
    }
    case 'orMatch': {
      const parts = pattern.value.valueMatchers.map((part, i) =>
        compileValueMatcher(part, `${path}.or_match.value_matchers[${i}]`),
      )
      return (value) => parts.some((part) => part(value))
    }
  }
}
