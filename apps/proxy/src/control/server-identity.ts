import type { PeerCertificate } from 'node:tls'
import type { CertificateValidationContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import type { StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import { RE2JS } from 're2js'

/** Kinds of subject alternative names, as `X509Certificate.subjectAltName` writes them. */
const sanPrefixes: Record<number, string> = { 1: 'email:', 2: 'DNS:', 3: 'URI:', 4: 'IP Address:' }

/**
 * The check of a server's certificate after its chain was verified: with SAN matchers one name has to match one of them,
 * without any every name is accepted (as in Envoy, where trust alone decides then).
 */
export function identityCheck(
  validation: CertificateValidationContext | undefined,
): (host: string, certificate: PeerCertificate) => Error | undefined {
  const matchers = [
    ...(validation?.matchTypedSubjectAltNames ?? []).map(({ sanType, matcher }) => ({
      prefix: sanPrefixes[sanType] ?? '',
      test: compile(matcher),
    })),
    ...(validation?.matchSubjectAltNames ?? []).map((matcher) => ({ prefix: '', test: compile(matcher) })),
  ]
  return (_host, certificate) => {
    if (matchers.length === 0) return undefined
    const names = splitNames(certificate.subjectaltname ?? '')
    const matches = matchers.some(({ prefix, test }) =>
      names.some(({ kind, name }) => (prefix === '' || kind === prefix) && test(name)),
    )
    return matches
      ? undefined
      : new Error(
          `the server's certificate names ${names.map(({ name }) => name).join(', ') || 'nobody'}, none of which is expected`,
        )
  }
}

/** `DNS:a, URI:spiffe://…` taken apart; node quotes names that hold commas. */
function splitNames(text: string): { kind: string; name: string }[] {
  const names: { kind: string; name: string }[] = []
  for (const match of text.matchAll(/(DNS:|URI:|IP Address:|email:)("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)) {
    const raw = match[2] ?? ''
    let name = raw
    if (raw.startsWith('"')) {
      try {
        name = String(JSON.parse(raw))
      } catch {
        continue
      }
    }
    names.push({ kind: match[1] ?? '', name })
  }
  return names
}

function compile(matcher: StringMatcher | undefined): (text: string) => boolean {
  const pattern = matcher?.matchPattern
  if (pattern === undefined) return () => false
  const fold = matcher?.ignoreCase === true ? (text: string) => text.toLowerCase() : (text: string) => text
  switch (pattern.$case) {
    case 'exact':
      return (text) => fold(text) === fold(pattern.value)
    case 'prefix':
      return (text) => fold(text).startsWith(fold(pattern.value))
    case 'suffix':
      return (text) => fold(text).endsWith(fold(pattern.value))
    case 'contains':
      return (text) => fold(text).includes(fold(pattern.value))
    case 'safeRegex': {
      const expression = RE2JS.compile(pattern.value.regex)
      return (text) => expression.matches(text)
    }
    default:
      return () => false
  }
}
