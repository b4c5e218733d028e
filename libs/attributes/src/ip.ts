import { isIPv6 } from 'node:net'

/** The bytes of a textual address: 4 for IPv4, 16 for IPv6; undefined when it is neither. Zones are refused. */
export function parseIp(text: string): Uint8Array | undefined {
  const v4 = parseIpv4(text)
  if (v4 !== undefined) return v4
  if (!text.includes('%') && isIPv6(text)) return parseIpv6(text)
  return undefined
}

/** An address as people write it; an IPv4 address mapped into IPv6 prints as IPv4. Other lengths print as hex after `?`, as Go's net.IP. */
export function formatIp(bytes: Uint8Array): string {
  const v4 = asIpv4(bytes)
  if (v4 !== undefined) return v4.join('.')
  if (bytes.length !== 16) return bytes.length === 0 ? '' : `?${Buffer.from(bytes).toString('hex')}`
  return formatIpv6(bytes)
}

/** True when both are the same address; IPv4 equals its form mapped into IPv6. */
export function equalIp(left: Uint8Array, right: Uint8Array): boolean {
  const a = asIpv4(left) ?? left
  const b = asIpv4(right) ?? right
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function asIpv4(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length === 4) return bytes
  if (bytes.length !== 16 || bytes[10] !== 0xff || bytes[11] !== 0xff) return undefined
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return undefined
  return bytes.subarray(12)
}

/** Four decimal numbers up to 255 without leading zeros; by character codes, as this is done for each request. */
function parseIpv4(text: string): Uint8Array | undefined {
  if (text.length < 7 || text.length > 15) return undefined
  const bytes = new Uint8Array(4)
  let part = 0
  let value = -1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 48 && code <= 57) {
      if (value === 0) return undefined
      value = (value < 0 ? 0 : value * 10) + code - 48
      if (value > 255) return undefined
    } else {
      if (code !== 46 || value < 0 || part === 3) return undefined
      bytes[part++] = value
      value = -1
    }
  }
  if (part !== 3 || value < 0) return undefined
  bytes[3] = value
  return bytes
}

function parseIpv6(text: string): Uint8Array {
  const [head = '', tail] = text.split('::')
  const front = groupBytes(head)
  const back = tail === undefined ? [] : groupBytes(tail)
  const bytes = new Uint8Array(16)
  bytes.set(front, 0)
  bytes.set(back, 16 - back.length)
  return bytes
}

/** The bytes of colon-separated groups, of which the last may be a dotted IPv4 address. */
function groupBytes(groups: string): number[] {
  if (groups === '') return []
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

/** RFC 5952: lower case, the longest run of two or more zero groups left out. */
function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0))
  let runStart = -1
  let runLength = 1
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && groups[i + length] === 0) length++
    if (length > runLength) {
      runStart = i
      runLength = length
    }
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':')
  if (runStart < 0) return hex(groups)
  return `${hex(groups.slice(0, runStart))}::${hex(groups.slice(runStart + runLength))}`
}
