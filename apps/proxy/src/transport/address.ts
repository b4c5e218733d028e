import { BlockList, isIPv4 } from 'node:net'
import type { CidrRange } from '@weft/contracts/envoy/config/core/v3/address'
import { invalid } from '../plan/problems.ts'

/** Says whether an IP address lies in one of the ranges. */
export type AddressSet = (address: string) => boolean

/** Compiles CIDR ranges. A range is of its own family: `::ffff:10.0.0.0/104` holds no IPv4 address, as in Envoy. */
export function compileRanges(ranges: readonly CidrRange[], path: string): AddressSet {
  const [v4, v6] = [new BlockList(), new BlockList()]
  ranges.forEach((range, i) => {
    try {
      const isV4 = isIPv4(range.addressPrefix)
      const prefix = Math.min(range.prefixLen ?? 0, isV4 ? 32 : 128)
      if (isV4) v4.addSubnet(range.addressPrefix, prefix, 'ipv4')
      else v6.addSubnet(range.addressPrefix, prefix, 'ipv6')
    } catch {
      throw invalid(`${path}[${i}]`, `not a CIDR range: ${range.addressPrefix}/${range.prefixLen ?? 0}`)
    }
  })
  return (address) => (isIPv4(address) ? v4.check(address, 'ipv4') : v6.check(address, 'ipv6'))
}

/** An IPv4 address in IPv6 form (`::ffff:a.b.c.d`) as IPv4; others as they are. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
