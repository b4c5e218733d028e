import { isIP } from 'node:net'
import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { SocketOption } from '../transport/own-socket.ts'
import type { Destination } from '../transport/socket-calls.ts'
import { invalid } from './problems.ts'
import { compileSocketOptions, prebindOnly } from './socket-options.ts'

/** An address that connections are made from, and the options of their sockets. Port 0: any. */
interface SourceAddress extends Destination {
  options: readonly SocketOption[]
}

/** The near ends of a cluster's connections. */
export interface NearEnds {
  /** The first one, and those for the other family; empty: what the system chooses. */
  sources: readonly SourceAddress[]
  /** Of sockets that no source address is given to. */
  options: readonly SocketOption[]
}

/** Reads a cluster's `upstream_bind_config` and `upstream_connection_options`; `owner` names it in messages. */
export function compileNearEnds(
  { upstreamBindConfig: bind, upstreamConnectionOptions }: Pick<Cluster, 'upstreamBindConfig' | 'upstreamConnectionOptions'>,
  owner: string,
): NearEnds {
  const path = `${owner}: upstream_bind_config`
  const all = { freebind: bind?.freebind, keepalive: upstreamConnectionOptions?.tcpKeepalive }
  const options = compileSocketOptions({ ...all, options: prebindOnly(bind?.socketOptions) }, path)
  if (bind === undefined) return { sources: [], options }
  const additional = bind.additionalSourceAddresses.map((address) => ({ address, socketOptions: undefined }))
  const extras = [...bind.extraSourceAddresses, ...additional]
  if (extras.length > 0 && bind.sourceAddress === undefined)
    throw invalid(path, 'extra or additional source addresses cannot be specified if source_address is not set')
  if (extras.length > 1) throw invalid(path, 'has more than one extra or additional source address')
  const sources = [{ address: bind.sourceAddress, socketOptions: undefined }, ...extras]
  return {
    options,
    sources: sources.flatMap(({ address: source, socketOptions }, i) => {
      if (source === undefined) return []
      const at = i === 0 ? `${path}.source_address` : `${path}.extra_source_addresses[${i - 1}].address`
      if (isIP(source.address) === 0) throw invalid(at, `malformed IP address: ${source.address}`)
      const port = source.portSpecifier?.$case === 'portValue' ? source.portSpecifier.value : 0
      const own = socketOptions?.socketOptions
      return [
        {
          address: source.address,
          port,
          options: own === undefined ? options : compileSocketOptions({ ...all, options: prebindOnly(own) }, at),
        },
      ]
    }),
  }
}
