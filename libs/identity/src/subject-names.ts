import { isIPv4 } from 'node:net'
import { WeftError } from '@weft/service/errors'
import { type Asn1, contextBytesOf, contextPrimitive, hasContextTag, membersOf, readDer, sequence, tag, writeDer } from './der.ts'

/** The names of a subjectAltName extension, by kind (RFC 5280, section 4.2.1.6). */
export interface SubjectNames {
  uris: string[]
  dns: string[]
  /** In text form. */
  ips: string[]
  /** Names of kinds that nobody here uses (mail, directory names …), counted. */
  others: number
}

const kind = { dns: 2, uri: 6, ip: 7 } as const
const maxNames = 64

/** Reads the value of a subjectAltName extension. Throws `invalid_argument` when it is broken. */
export function readSubjectNames(extensionValue: Buffer): SubjectNames {
  const names: SubjectNames = { uris: [], dns: [], ips: [], others: 0 }
  const members = membersOf(readDer(extensionValue, 'subjectAltName'), tag.sequence, 'subjectAltName')
  if (members.length === 0) throw new WeftError('invalid_argument', 'subjectAltName is empty')
  if (members.length > maxNames) throw new WeftError('invalid_argument', `subjectAltName has more than ${maxNames} names`)
  for (const member of members) {
    if (hasContextTag(member, kind.uri)) names.uris.push(ia5(member, 'URI name'))
    else if (hasContextTag(member, kind.dns)) names.dns.push(ia5(member, 'DNS name'))
    else if (hasContextTag(member, kind.ip)) names.ips.push(ipText(contextBytesOf(member, 'IP name')))
    else names.others += 1
  }
  return names
}

/** The value of a subjectAltName extension, URIs first, then IPs, then DNS names. */
export function writeSubjectNames(names: { uris?: string[]; dns?: string[]; ips?: string[] }): Buffer {
  const members: Asn1[] = []
  for (const uri of names.uris ?? []) members.push(contextPrimitive(kind.uri, Buffer.from(uri, 'latin1')))
  for (const ip of names.ips ?? []) members.push(contextPrimitive(kind.ip, ipBytes(ip)))
  for (const dns of names.dns ?? []) members.push(contextPrimitive(kind.dns, Buffer.from(dns, 'latin1')))
  return writeDer(sequence(...members))
}

/** IA5String: control characters and anything past ASCII are refused, as no name has a use for them. */
function ia5(member: Asn1, what: string): string {
  const text = contextBytesOf(member, what).toString('latin1')
  if (!/^[\x21-\x7e]+$/.test(text)) throw new WeftError('invalid_argument', `${what} is empty or has an unprintable character`)
  return text
}

function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) throw new WeftError('invalid_argument', `IP name has ${bytes.length} bytes instead of 4 or 16`)
  const groups: string[] = []
  for (let at = 0; at < 16; at += 2) groups.push(bytes.readUInt16BE(at).toString(16))
  return groups.join(':')
}

function ipBytes(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number))
  const [head = '', tail] = text.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups =
    tail === undefined ? left : [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  if (groups.length !== 8 || !groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) {
    throw new WeftError('invalid_argument', `'${text}' is not an IP address`)
  }
  const bytes = Buffer.alloc(16)
  for (const [index, group] of groups.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2)
  return bytes
}
