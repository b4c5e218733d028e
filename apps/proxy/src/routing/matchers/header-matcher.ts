import type { HeaderMatcher } from '@weft/contracts/envoy/config/route/v3/route_components'
import { headerName } from '@weft/http/header-table'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import { invalid } from '../../plan/problems.ts'
import { compileRegex } from './regex.ts'
import { compileStringMatcher } from './string-matcher.ts'

/** Says whether a message's headers match. */
export type HeadMatcher = (head: RequestHead | ResponseHead) => boolean

/** Reads a header of a message; null: absent. */
export type HeadReader = (head: RequestHead | ResponseHead) => string | null

/** Whether a name (in any case) is one that a head keeps beside its table: a pseudo header, or Host. */
export function isPseudo(name: string): boolean {
  return name.startsWith(':') || name.toLowerCase() === 'host'
}

/** Reads a header by name, pseudo headers of HTTP/2 included; several values come joined by a comma; null: absent. */
export function headerReader(name: string): HeadReader {
  const lower = name.toLowerCase()
  switch (lower) {
    case ':method':
      return (head) => ('method' in head ? head.method : null)
    case ':path':
      return (head) => ('path' in head && head.path !== '' ? head.path : null)
    case ':authority':
    case 'host':
      return (head) => ('authority' in head && head.authority !== '' ? head.authority : null)
    case ':scheme':
      return (head) => ('scheme' in head ? head.scheme : null)
    case ':status':
      return (head) => ('status' in head ? String(head.status) : null)
  }
  const header = headerName(lower)
  return (head) => head.headers.getAll(header)
}

/** Compiles an `envoy.config.route.v3.HeaderMatcher`. */
export function compileHeaderMatcher(matcher: HeaderMatcher, path: string): HeadMatcher {
  if (matcher.name === '') throw invalid(`${path}.name`, 'the header matcher names no header')
  const read = headerReader(matcher.name)
  const { invertMatch, treatMissingHeaderAsEmpty } = matcher
  const specifier = matcher.headerMatchSpecifier
  if (specifier === undefined || specifier.$case === 'presentMatch') {
    const present = (specifier?.value ?? true) !== invertMatch
    return (head) => (read(head) !== null || treatMissingHeaderAsEmpty) === present
  }
  const matches = compileValue(specifier, path)
  const header = pseudoHeaders.has(matcher.name.toLowerCase()) ? null : headerName(matcher.name.toLowerCase())
  return (head) => {
    if (header !== null) {
      const { headers } = head
      const first = headers.find(header)
      // A header that comes several times matches when one of its values does: who adds another can't hide the first.
      for (let i = first; i >= 0; i = headers.find(header, i + 1)) if (matches(headers.valueAt(i))) return !invertMatch
      if (first >= 0) return invertMatch
    }
    const value = (header === null ? read(head) : null) ?? (treatMissingHeaderAsEmpty ? '' : null)
    // An absent header matches nothing, inverted or not, unless it counts as empty.
    return value !== null && matches(value) !== invertMatch
  }
}

const pseudoHeaders = new Set([':method', ':path', ':authority', 'host', ':scheme', ':status'])

const plainKinds = { exactMatch: 'exact', prefixMatch: 'prefix', suffixMatch: 'suffix', containsMatch: 'contains' } as const

type Specifier = NonNullable<HeaderMatcher['headerMatchSpecifier']>

function compileValue(specifier: Exclude<Specifier, { $case: 'presentMatch' }>, path: string): (value: string) => boolean {
  switch (specifier.$case) {
    case 'exactMatch':
    case 'prefixMatch':
    case 'suffixMatch':
    case 'containsMatch': {
      // The older exact match of nothing asks for presence alone.
      if (specifier.$case === 'exactMatch' && specifier.value === '') return () => true
      const kind = plainKinds[specifier.$case]
      return compileStringMatcher({ ignoreCase: false, matchPattern: { $case: kind, value: specifier.value } }, path)
    }
    case 'safeRegexMatch': {
      const regex = compileRegex(specifier.value.regex, `${path}.safe_regex_match.regex`)
      return (value) => regex.fullMatch(value)
    }
    case 'rangeMatch': {
      const { start, end } = specifier.value
      return (value) => /^[+-]?\d+$/.test(value) && Number(value) >= start && Number(value) < end
    }
    case 'stringMatch':
      return compileStringMatcher(specifier.value, `${path}.string_match`)
  }
}
