import type { ListStringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import { compileStringMatcher } from '../../../routing/matchers/string-matcher.ts'

/** Whether a header, by its lower-case name, is one of those that are meant. */
export type HeaderSelection = (name: string) => boolean

/** Compiles a list of matchers over header names; null where none is given. */
export function compileSelection(list: ListStringMatcher | undefined, path: string): HeaderSelection | null {
  if (list === undefined || list.patterns.length === 0) return null
  const matchers = list.patterns.map((pattern, i) => compileStringMatcher(pattern, `${path}.patterns[${i}]`))
  return (name) => matchers.some((matches) => matches(name))
}
