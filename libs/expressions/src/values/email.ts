import { equalDnsNames } from './dns-name.ts'

/** An address without a display name (RFC 5322 addr-spec); the local part is unquoted. */
export interface EmailAddress {
  local: string
  domain: string
}

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u0080-\\uffff-]+"
const DOT_ATOM = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`, 'u')
const QUOTED = /^"((?:[^"\\\r\n]|\\[^\r\n])*)"$/

/** Reads an e-mail address, with or without angle brackets; or says what is wrong with it, in the words of Go's net/mail. */
export function parseEmail(text: string): EmailAddress | { problem: string } {
  const trimmed = text.trim()
  if (trimmed === '') return { problem: 'mail: no address' }
  if (trimmed.length > 1000) return { problem: 'mail: address is longer than 1000 characters' }
  const bracketed = /^(.*)<([^<>]*)>$/s.exec(trimmed)
  if (bracketed?.[1] !== undefined && bracketed[1].trim() !== '') return { problem: 'mail: display names are not allowed' }
  const spec = bracketed?.[2] ?? trimmed
  const at = spec.lastIndexOf('@')
  if (at < 0) return { problem: bracketed === null ? 'mail: no angle-addr' : 'mail: missing @ in addr-spec' }
  const written = spec.slice(0, at)
  const domain = spec.slice(at + 1)
  const quoted = QUOTED.exec(written)?.[1]
  if (quoted === undefined && !DOT_ATOM.test(written)) {
    return { problem: written === '' ? 'mail: missing word in phrase: mail: invalid string' : 'mail: no angle-addr' }
  }
  if (domain === '') return { problem: 'mail: no angle-addr' }
  if (!DOT_ATOM.test(domain)) return { problem: 'mail: invalid string in domain' }
  return { local: quoted === undefined ? written : quoted.replace(/\\(.)/g, '$1'), domain }
}

/** True when both name one mailbox: quoting does not matter, nor the domain's case. Gives the problem of the first that is no address. */
export function equalEmails(left: string, right: string): boolean | { invalid: string; problem: string } {
  const a = parseEmail(left)
  if ('problem' in a) return { invalid: left, problem: a.problem }
  const b = parseEmail(right)
  if ('problem' in b) return { invalid: right, problem: b.problem }
  if (a.local !== b.local) return false
  const domains = equalDnsNames(a.domain, b.domain)
  return domains === true
}
