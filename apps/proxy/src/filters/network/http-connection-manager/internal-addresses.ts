import type { HttpConnectionManager_InternalAddressConfig as Config } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { type AddressSet, compileRanges } from '../../../transport/address.ts'

/** What an `internal_address_config` that names no ranges means: private addresses, and the machine's own. */
const privateRanges = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['127.0.0.0', 8],
  ['fd00::', 8],
  ['::1', 128],
] as const

/** Which clients are within the mesh; none, where nothing is said. Throws WeftError for a bad range. */
export function compileInternalAddresses(config: Config | undefined, path: string): AddressSet {
  if (config === undefined) return () => false
  if (config.cidrRanges.length > 0) return compileRanges(config.cidrRanges, `${path}.cidr_ranges`)
  return compileRanges(
    privateRanges.map(([addressPrefix, prefixLen]) => ({ addressPrefix, prefixLen })),
    path,
  )
}
