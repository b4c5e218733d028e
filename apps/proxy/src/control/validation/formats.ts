import { isIP, isIPv4, isIPv6 } from 'node:net'

/** The well-known string forms of `validate.rules`, by the option's name: what is wrong, or undefined. */
export const formats: Record<string, (text: string) => string | undefined> = {
  email: (text) => (/^[^\s@<>]+@[^\s@<>]+$/.test(text) ? undefined : 'must be an e-mail address'),
  hostname: (text) => (isHostname(text) ? undefined : 'must be a host name'),
  ip: (text) => (isIP(text) === 0 ? 'must be an IP address' : undefined),
  ipv4: (text) => (isIPv4(text) ? undefined : 'must be an IPv4 address'),
  ipv6: (text) => (isIPv6(text) ? undefined : 'must be an IPv6 address'),
  uri: (text) => (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text) && isUriRef(text) ? undefined : 'must be an absolute URI'),
  uri_ref: (text) => (isUriRef(text) ? undefined : 'must be a URI reference'),
  address: (text) => (isHostname(text) || isIP(text) !== 0 ? undefined : 'must be a host name or an IP address'),
  uuid: (text) => (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) ? undefined : 'must be a UUID'),
}

/** A header's name or value (RFC 9110 and pseudo headers); `strict` off allows all but NUL, CR and LF. */
export function headerForm(kind: 'name' | 'value', strict: boolean): (text: string) => string | undefined {
  const loose = /^[^\x00\x0a\x0d]*$/
  const pattern = !strict ? loose : kind === 'name' ? /^:?[0-9a-zA-Z!#$%&'*+.^_|~`-]+$/ : /^[^\x00-\x08\x0a-\x1f\x7f]*$/
  // Empty is a loose name: Envoy's API states so on fields that stand beside another, such as ClusterWeight.cluster_header.
  return (text) => (pattern.test(text) ? undefined : `is not a valid header ${kind}`)
}

function isHostname(text: string): boolean {
  const host = text.endsWith('.') ? text.slice(0, -1) : text
  return host.length <= 253 && host.split('.').every((label) => /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label))
}

function isUriRef(text: string): boolean {
  return /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*$/.test(text)
}
