import { isIP } from 'node:net'
import type { FilterStateMatcher } from '@weft/contracts/envoy/type/matcher/v3/filter_state'
import { compileRanges } from '../../transport/address.ts'
import { compileTextMatcher } from './string-matcher.ts'

/** Compiles the value of an `envoy.type.matcher.v3.FilterStateMatcher`; an object that is not there matches nothing. */
export function compileFilterStateMatcher(
  matcher: NonNullable<FilterStateMatcher['matcher']>,
  path: string,
): (value: unknown) => boolean {
  if (matcher.$case === 'stringMatch') {
    const matches = compileTextMatcher(matcher.value, `${path}.string_match`)
    return (value) => value !== undefined && matches(String(value))
  }
  const { ranges, invertMatch } = matcher.value
  const holds = compileRanges(ranges, `${path}.address_match.ranges`)
  return (value) => typeof value === 'string' && isIP(value) !== 0 && holds(value) !== invertMatch
}
