import { BlockList, isIPv4, isIPv6, SocketAddress } from 'node:net'
import type { Destination } from './socket-calls.ts'

/** A type-length-value of version 2. */
export interface Tlv {
  readonly type: number
  readonly value: Buffer
}

/** What a PROXY header says. `addresses` null: the sender speaks for itself (LOCAL, UNKNOWN). */
export interface ProxyHeader {
  readonly version: 1 | 2
  readonly addresses: { readonly source: Destination; readonly destination: Destination } | null
  readonly tlvs: readonly Tlv[]
}

export type ProxyHeaderReading =
  | { type: 'more' }
  /** These bytes are no PROXY header, nor the beginning of one. */
  | { type: 'none' }
  | { type: 'invalid'; version: 1 | 2; why: string }
  /** A header of `length` bytes. */
  | { type: 'header'; header: ProxyHeader; length: number }

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const opening = Buffer.from('PROXY ', 'latin1')
/** The longest line of version 1, with its end. */
const maxLine = 107
/** The most bytes a header can have: version 2 with a length of two bytes. */
export const maxProxyHeaderBytes = 16 + 0xffff
const family = { inet: 1, inet6: 2 } as const

/** Reads a PROXY header (the PROXY protocol, versions 1 and 2; `versions`: these alone) at the beginning of a connection. */
export function readProxyHeader(bytes: Buffer, versions: readonly (1 | 2)[] = [1, 2]): ProxyHeaderReading {
  if (versions.includes(2) && begins(bytes, signature)) return bytes.length < 16 ? { type: 'more' } : readBinary(bytes)
  if (versions.includes(1) && begins(bytes, opening)) return bytes.length < opening.length ? { type: 'more' } : readLine(bytes)
  return { type: 'none' }
}

/** Whether as many bytes as there are are those of `wanted`. */
function begins(bytes: Buffer, wanted: Buffer): boolean {
  const length = Math.min(bytes.length, wanted.length)
  return bytes.compare(wanted, 0, length, 0, length) === 0
}

function readLine(bytes: Buffer): ProxyHeaderReading {
  const invalid = (why: string): ProxyHeaderReading => ({ type: 'invalid', version: 1, why })
  const end = bytes.subarray(0, maxLine).indexOf('\r\n', 0, 'latin1')
  if (end < 0) return bytes.length < maxLine ? { type: 'more' } : invalid('the line is too long')
  const [, protocol, ...parts] = bytes.toString('latin1', 0, end).trimEnd().split(' ')
  const done = (addresses: ProxyHeader['addresses']): ProxyHeaderReading => ({
    type: 'header',
    header: { version: 1, addresses, tlvs: [] },
    length: end + 2,
  })
  if (protocol === 'UNKNOWN') return done(null)
  if (protocol !== 'TCP4' && protocol !== 'TCP6') return invalid('the protocol is not TCP4, TCP6 or UNKNOWN')
  const [from = '', to = '', fromPort = '', toPort = ''] = parts
  if (parts.length !== 4) return invalid('two addresses and two ports are needed')
  const isAddress = protocol === 'TCP4' ? isIPv4 : (text: string) => isIPv6(text) && !text.includes('%')
  const source = portOf(fromPort)
  const destination = portOf(toPort)
  if (!isAddress(from) || !isAddress(to) || source === null || destination === null)
    return invalid('an address or port is not valid')
  if (!isUnicast(from) || !isUnicast(to)) return invalid('an address names no single host')
  return done({ source: { address: plain(from), port: source }, destination: { address: plain(to), port: destination } })
}

function portOf(text: string): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  return port <= 0xffff ? port : null
}

/** An address in its shortest form. */
function plain(address: string): string {
  return isIPv4(address) ? address : new SocketAddress({ address, family: 'ipv6' }).address
}

function readBinary(bytes: Buffer): ProxyHeaderReading {
  const invalid = (why: string): ProxyHeaderReading => ({ type: 'invalid', version: 2, why })
  const command = bytes[12]! & 0xf
  if (bytes[12]! >> 4 !== 2) return invalid('the version is not 2')
  if (command > 1) return invalid('the command is neither LOCAL nor PROXY')
  const kind = bytes[13]! >> 4
  const transport = bytes[13]! & 0xf
  const length = 16 + bytes.readUInt16BE(14)
  const isProxy = command === 1
  if (isProxy && kind !== family.inet && kind !== family.inet6) return invalid('the family is neither IPv4 nor IPv6')
  if (isProxy && transport !== 1 && transport !== 2) return invalid('the transport is neither a stream nor datagrams')
  const size = kind === family.inet6 ? 16 : 4
  const addressBytes = kind === family.inet || kind === family.inet6 ? 2 * size + 4 : 0
  if (isProxy && length < 16 + addressBytes) return invalid('the length leaves no room for addresses')
  if (bytes.length < length) return { type: 'more' }
  const tlvs = isProxy ? readTlvs(bytes.subarray(16 + addressBytes, length)) : []
  if (tlvs === null) return invalid('a TLV is longer than the header')
  const read = (at: number, portAt: number): Destination => ({
    address: addressOf(bytes.subarray(at, at + size)),
    port: bytes.readUInt16BE(portAt),
  })
  const addresses = isProxy ? { source: read(16, 16 + 2 * size), destination: read(16 + size, 18 + 2 * size) } : null
  if (addresses !== null && !(isUnicast(addresses.source.address) && isUnicast(addresses.destination.address)))
    return invalid('an address names no single host')
  return { type: 'header', header: { version: 2, addresses, tlvs }, length }
}

/** Addresses that a connection cannot have: none, all hosts of a network, a group of them. */
const severalHosts = new BlockList()
severalHosts.addAddress('0.0.0.0')
severalHosts.addAddress('255.255.255.255')
severalHosts.addSubnet('224.0.0.0', 4)
const severalHosts6 = new BlockList()
severalHosts6.addAddress('::', 'ipv6')
severalHosts6.addSubnet('ff00::', 8, 'ipv6')

function isUnicast(address: string): boolean {
  return isIPv4(address) ? !severalHosts.check(address) : !severalHosts6.check(address, 'ipv6')
}

function readTlvs(bytes: Buffer): Tlv[] | null {
  const found: Tlv[] = []
  for (let at = 0; at < bytes.length; ) {
    if (at + 3 > bytes.length) return null
    const end = at + 3 + bytes.readUInt16BE(at + 1)
    if (end > bytes.length) return null
    found.push({ type: bytes[at]!, value: Buffer.from(bytes.subarray(at + 3, end)) })
    at = end
  }
  return found
}

function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups: string[] = []
  for (let at = 0; at < 16; at += 2) groups.push(bytes.readUInt16BE(at).toString(16))
  return plain(groups.join(':'))
}

/** Writes a PROXY header; version 1 has no TLVs. Addresses of two families, and those of no IP, are told as unknown. */
export function writeProxyHeader({ version, addresses, tlvs }: ProxyHeader): Buffer {
  const known = addresses !== null && familyOf(addresses.source.address) === familyOf(addresses.destination.address)
  const kind = known ? familyOf(addresses.source.address) : 0
  if (version === 1) {
    if (!known || kind === 0) return Buffer.from('PROXY UNKNOWN\r\n')
    const { source, destination } = addresses
    const protocol = kind === family.inet ? 'TCP4' : 'TCP6'
    return Buffer.from(`PROXY ${protocol} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`)
  }
  const body: Buffer[] = []
  if (known && kind !== 0) {
    const { source, destination } = addresses
    const ports = Buffer.alloc(4)
    ports.writeUInt16BE(source.port, 0)
    ports.writeUInt16BE(destination.port, 2)
    body.push(addressBytes(source.address), addressBytes(destination.address), ports)
  }
  for (const { type, value } of tlvs) {
    const head = Buffer.alloc(3)
    head[0] = type
    head.writeUInt16BE(value.length, 1)
    body.push(head, value)
  }
  const bytes = Buffer.concat(body)
  const head = Buffer.alloc(16)
  signature.copy(head)
  head[12] = known && kind !== 0 ? 0x21 : 0x20
  head[13] = known && kind !== 0 ? (kind << 4) | 1 : 0
  head.writeUInt16BE(bytes.length, 14)
  return Buffer.concat([head, bytes])
}

function familyOf(address: string): number {
  return isIPv4(address) ? family.inet : isIPv6(address) ? family.inet6 : 0
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  const [head = '', tail] = address.split('::')
  const groups = (text: string | undefined): string[] => (text === undefined || text === '' ? [] : text.split(':'))
  const expand = (parts: string[]): string[] =>
    parts.flatMap((part) => {
      if (!part.includes('.')) return [part]
      const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
      return [((a << 8) | b).toString(16), ((c << 8) | d).toString(16)]
    })
  const before = expand(groups(head))
  const after = expand(groups(tail))
  const zeros = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0')
  const bytes = Buffer.alloc(16)
  const all = [...before, ...zeros, ...after].slice(0, 8)
  for (const [i, group] of all.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16) & 0xffff, 2 * i)
  return bytes
}
