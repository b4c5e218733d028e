import { isIP } from 'node:net'
import type { BindConfig } from '@weft/contracts/envoy/config/core/v3/address'
import type { Destination } from '../transport/socket-calls.ts'
import { invalid } from './problems.ts'

/** Addresses that connections to a cluster are made from: the first one, and those for the other family. Port 0: any. */
export function compileSourceAddresses(bind: BindConfig | undefined, path: string): readonly Destination[] {
  if (bind === undefined) return []
  const sources = [bind.sourceAddress, ...bind.extraSourceAddresses.map(({ address }) => address)]
  return sources.flatMap((source, i) => {
    if (source === undefined) return []
    const at = i === 0 ? `${path}.source_address` : `${path}.extra_source_addresses[${i - 1}].address`
    if (isIP(source.address) === 0) throw invalid(at, `malformed IP address: ${source.address}`)
    const port = source.portSpecifier?.$case === 'portValue' ? source.portSpecifier.value : 0
    return [{ address: source.address, port }]
  })
}
