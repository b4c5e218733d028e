import { BlockList, isIP } from 'node:net'
import { WeftError } from '@weft/service/errors'

/** One hop of an `x-forwarded-client-cert` header: what a proxy saw of its client's certificate. */
export interface ForwardedCertificate {
  by: string[]
  hash: string
  /** Subject in the form of RFC 2253. */
  subject: string
  uris: string[]
  dns: string[]
  /** URL-encoded PEM. */
  certificate: string
  chain: string
}

const maxHeaderBytes = 64 << 10

/**
 * Reads Envoy's `x-forwarded-client-cert` header: elements separated by commas, the first hop first; pairs `key=value` separated by
 * semicolons; a value may be quoted, with `\"` inside. Keys are case-insensitive, unknown ones are passed over. Throws
 * `invalid_argument` when it has another form.
 */
export function parseXfcc(header: string): ForwardedCertificate[] {
  if (header.length > maxHeaderBytes) throw malformed(`it is longer than ${maxHeaderBytes} bytes`)
  return splitOutsideQuotes(header, ',').map((element) => {
    const hop: ForwardedCertificate = { by: [], hash: '', subject: '', uris: [], dns: [], certificate: '', chain: '' }
    for (const pair of splitOutsideQuotes(element, ';')) {
      const equals = pair.indexOf('=')
      if (equals < 1) throw malformed(`'${pair.slice(0, 80)}' is not key=value`)
      setField(hop, pair.slice(0, equals).trim().toLowerCase(), unquote(pair.slice(equals + 1)))
    }
    return hop
  })
}

/** All identities that a header names, hop by hop: URIs, DNS names, and the common name of the subject. */
export function xfccIdentities(hops: readonly ForwardedCertificate[]): string[] {
  return hops.flatMap(({ uris, dns, subject }) => {
    const commonName = /(?:^|[,+])\s*CN=((?:\\.|[^,+\\])*)/i.exec(subject)?.[1]?.replace(/\\(.)/g, '$1')
    return [...uris, ...dns, ...(commonName === undefined || commonName === '' ? [] : [commonName])]
  })
}

/**
 * Whether a peer (`host:port`) may speak for others by this header: loopback always, else an address within one of the CIDRs.
 * What is no address with a port is not trusted.
 */
export function isTrustedPeer(peer: string, cidrs: readonly string[]): boolean {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<v4>[0-9.]+)):\d{1,5}$/.exec(peer)
  const host = match?.groups?.['v6'] ?? match?.groups?.['v4'] ?? ''
  const version = isIP(host)
  if (version === 0) return false
  const trusted = new BlockList()
  trusted.addSubnet('127.0.0.0', 8, 'ipv4')
  trusted.addAddress('::1', 'ipv6')
  for (const cidr of cidrs) addCidr(trusted, cidr)
  return trusted.check(host, version === 6 ? 'ipv6' : 'ipv4')
}

function addCidr(list: BlockList, cidr: string): void {
  const [network = '', bits = ''] = cidr.split('/')
  const version = isIP(network)
  if (version === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (version === 6 ? 128 : 32)) {
    throw new WeftError('invalid_argument', `'${cidr}' is not an address range`, { hint: 'write it as 10.0.0.0/8' })
  }
  list.addSubnet(network, Number(bits), version === 6 ? 'ipv6' : 'ipv4')
}

function setField(hop: ForwardedCertificate, key: string, value: string): void {
  if (key === 'by') hop.by.push(value)
  else if (key === 'uri') hop.uris.push(value)
  else if (key === 'dns') hop.dns.push(value)
  else if (key === 'hash') hop.hash = value
  else if (key === 'subject') hop.subject = value
  else if (key === 'cert') hop.certificate = value
  else if (key === 'chain') hop.chain = value
}

/** Splits at a separator that stands outside double quotes. */
function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = []
  let quoted = false
  let start = 0
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    if (quoted && character === '\\') at += 1
    else if (character === '"') quoted = !quoted
    else if (character === separator && !quoted) {
      parts.push(text.slice(start, at))
      start = at + 1
    }
  }
  if (quoted) throw malformed('a quote does not end')
  parts.push(text.slice(start))
  return parts
}

function unquote(value: string): string {
  if (!value.startsWith('"')) return value.trim()
  if (!value.endsWith('"') || value.length < 2) throw malformed('there is text after a quoted value')
  return value.slice(1, -1).replaceAll('\\"', '"')
}

function malformed(reason: string): WeftError {
  return new WeftError('invalid_argument', `error in parsing xfcc header: invalid header format: ${reason}`)
}
