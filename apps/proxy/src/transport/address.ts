import { BlockList, isIPv4 } from 'node:net'
import type { CidrRange } from '@weft/contracts/envoy/config/core/v3/address'
import { invalid } from '../plan/problems.ts'

/** Says whether an IP address lies in one of the ranges. */
export type AddressSet = (address: string) => boolean

/** Compiles CIDR ranges. */
export function compileRanges(ranges: readonly CidrRange[], path: string): AddressSet {
  const list = new BlockList()
  ranges.forEach((range, i) => {
    try {
      const isV4 = isIPv4(range.addressPrefix)
      list.addSubnet(range.addressPrefix, Math.min(range.prefixLen ?? 0, isV4 ? 32 : 128), isV4 ? 'ipv4' : 'ipv6')
    } catch {
      throw invalid(`${path}[${i}]`, `not a CIDR range: ${range.addressPrefix}/${range.prefixLen ?? 0}`)
    }
  })
  return (address) => list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

/** An IPv4 address in IPv6 form (`::ffff:a.b.c.d`) as IPv4; others as they are. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
