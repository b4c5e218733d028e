import { MetadataMatcher } from '@weft/contracts/envoy/type/matcher/v3/metadata'
import type { StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import { ValueMatcher } from '@weft/contracts/envoy/type/matcher/v3/value'
import { textMatcher } from './text-match.ts'

/** Where the JWT filter leaves what it found: under its own name, the token's claims in `payload`. */
export const jwtMetadata = { filter: 'envoy.filters.http.jwt_authn', payload: 'payload' } as const

/** A value of dynamic metadata that is text. */
export function textValue(matcher: StringMatcher): ValueMatcher {
  return ValueMatcher.fromPartial({ matchPattern: { $case: 'stringMatch', value: matcher } })
}

/** A list with one item that matches. */
export function listValue(item: ValueMatcher): ValueMatcher {
  return ValueMatcher.fromPartial({
    matchPattern: { $case: 'listMatch', value: { matchPattern: { $case: 'oneOf', value: item } } },
  })
}

/** A value that one of these matches. */
export function anyValue(matchers: readonly ValueMatcher[]): ValueMatcher {
  const [only] = matchers
  if (matchers.length === 1 && only !== undefined) return only
  return ValueMatcher.fromPartial({ matchPattern: { $case: 'orMatch', value: { valueMatchers: [...matchers] } } })
}

/** What a filter left in the dynamic metadata of a request or connection. */
export function metadataMatcher(filter: string, path: readonly string[], value: ValueMatcher): MetadataMatcher {
  return MetadataMatcher.fromPartial({
    filter,
    path: path.map((key) => ({ segment: { $case: 'key' as const, value: key } })),
    value,
  })
}

/** A claim of the request's token, nested ones by all their names. */
export function claimMatcher(claim: readonly string[], value: ValueMatcher): MetadataMatcher {
  return metadataMatcher(jwtMetadata.filter, [jwtMetadata.payload, ...claim], value)
}

/** A claim that is one of some texts, or a list that has one of them. */
export function claimAmong(claim: readonly string[], values: readonly string[]): MetadataMatcher {
  const texts = anyValue(values.map((value) => textValue(textMatcher(value))))
  return claimMatcher(claim, anyValue([listValue(texts), texts]))
}

/**
 * The two claims of a request principal, `<iss>/<sub>`, as texts that may begin or end with `*`. The last slash parts
 * them, as an issuer may be a URL; without one, text that begins with `*` ends the subject, and other text is the issuer.
 */
export function principalClaims(principal: string): { issuer: StringMatcher; subject: StringMatcher } {
  const any = textMatcher('*')
  const slash = principal.lastIndexOf('/')
  if (slash >= 0) {
    const claims = { issuer: principal.slice(0, slash), subject: principal.slice(slash + 1) }
    // A star is one at the beginning or the end of the whole alone: `*/sub`, `iss/*`.
    if (principal.startsWith('*')) return { issuer: textMatcher(claims.issuer), subject: exact(claims.subject) }
    return {
      issuer: exact(claims.issuer),
      subject: principal.endsWith('*') ? textMatcher(claims.subject) : exact(claims.subject),
    }
  }
  if (principal.startsWith('*')) return { issuer: any, subject: textMatcher(principal) }
  return principal.endsWith('*')
    ? { issuer: textMatcher(principal), subject: any }
    : { issuer: exact(principal), subject: exact('') }
}

function exact(value: string): StringMatcher {
  return { matchPattern: { $case: 'exact', value }, ignoreCase: false }
}

/** The names of a claim in a condition's key: `[a][b]` are two, and a claim's own name may have dots. */
export function claimPath(brackets: string): string[] {
  return [...brackets.matchAll(/\[([^[\]]*)\]/g)].map(([, name = '']) => name)
}
