import type { CidrRange } from '@weft/contracts/envoy/config/core/v3/address'
import { HeaderMatcher } from '@weft/contracts/envoy/config/route/v3/route_components'
import { StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'

/**
 * How AuthorizationPolicy writes a text: `*` is any that is not empty, `*end`, `start*`, else the very text. `lead` stands
 * before each, as `spiffe://` does before a principal.
 */
export function textMatcher(value: string, { lead = '', ignoreCase = false } = {}): StringMatcher {
  const pattern = (matchPattern: StringMatcher['matchPattern']) => StringMatcher.fromPartial({ matchPattern, ignoreCase })
  if (value === '*') return regexMatcher('.+')
  if (value.startsWith('*')) {
    const end = value.slice(1)
    return lead === '' ? pattern({ $case: 'suffix', value: end }) : regexMatcher(`${quote(lead)}.*${quote(end)}`)
  }
  if (value.endsWith('*')) return pattern({ $case: 'prefix', value: lead + value.slice(0, -1) })
  return pattern({ $case: 'exact', value: lead + value })
}

/** A text that a regular expression (RE2) matches as a whole. */
export function regexMatcher(regex: string): StringMatcher {
  return StringMatcher.fromPartial({ matchPattern: { $case: 'safeRegex', value: { regex } } })
}

/** A text as a regular expression that matches just that. */
export function quote(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&')
}

/** A header with a value as {@link textMatcher} has it; `*` is any value, an empty one too. */
export function headerMatcher(name: string, value: string, options: { ignoreCase?: boolean } = {}): HeaderMatcher {
  return HeaderMatcher.fromPartial({
    name,
    headerMatchSpecifier:
      value === '*' ? { $case: 'presentMatch', value: true } : { $case: 'stringMatch', value: textMatcher(value, options) },
  })
}

/** An address, or a block of them: `10.0.0.0/8`. */
export function addressRange(text: string): CidrRange {
  const [addressPrefix = '', length] = text.split('/')
  return { addressPrefix, prefixLen: length === undefined ? (addressPrefix.includes(':') ? 128 : 32) : Number(length) }
}
