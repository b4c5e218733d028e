import net from 'node:net'
import { pipeName } from '../transport/pipe.ts'
import type { Destination } from '../transport/socket-calls.ts'
import type { EndpointAddress } from './endpoint-address.ts'

/** What to connect to and, where the cluster says so, from which address: the one of the endpoint's family, else the first. */
export function connectTarget(address: EndpointAddress, sources: readonly Destination[]): net.NetConnectOpts {
  if (address.type === 'pipe') return { path: pipeName(address.path) }
  const { host, port } = address
  const [first] = sources
  if (first === undefined) return { host, port }
  const source = sources.find((one) => net.isIP(one.address) === net.isIP(host)) ?? first
  return { host, port, localAddress: source.address, ...(source.port === 0 ? {} : { localPort: source.port }) }
}
