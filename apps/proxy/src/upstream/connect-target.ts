import net from 'node:net'
import type { NearEnds } from '../plan/source-address.ts'
import { ownSockets, type SocketOption } from '../transport/own-socket.ts'
import { pipeName } from '../transport/pipe.ts'
import type { EndpointAddress } from './endpoint-address.ts'

/** What to connect to, and how. */
interface ConnectTarget {
  /** With the cluster's source address, where it names some: the one of the endpoint's family, else the first. */
  where: net.NetConnectOpts
  /** Gives the socket, which was asked to connect in this turn, the options that the cluster wants. */
  prepare(socket: net.Socket): void
}

/** How long one address of several is waited for before the next is tried too (RFC 8305 section 8; Envoy's 300 ms). */
const attemptMs = 300

/**
 * How a cluster's sockets are to connect to an endpoint's address. `others`: addresses that will do as well, at the same port;
 * they are tried in turns of families (RFC 8305) unless the cluster says by which socket to connect.
 */
export function connectTarget(
  address: EndpointAddress,
  { sources, options }: NearEnds,
  others: readonly string[] = [],
): ConnectTarget {
  if (address.type === 'pipe') return { where: { path: pipeName(address.path) }, prepare: asItIs }
  const { host, port } = address
  const [first] = sources
  if (others.length > 0 && first === undefined && options.length === 0) {
    const found = [host, ...others].map((one) => ({ address: one, family: net.isIP(one) }))
    const lookup: net.LookupFunction = (_name, _options, tell) => process.nextTick(tell, null, found)
    // A name, since addresses are not looked up; told later, so that who has the socket hears of every attempt.
    const where = { host: 'endpoint', port, lookup, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: attemptMs }
    return { where, prepare: asItIs }
  }
  if (first === undefined) return { where: { host, port }, prepare: preparing(host, options) }
  const source = sources.find((one) => net.isIP(one.address) === net.isIP(host)) ?? first
  const where = { host, port, localAddress: source.address, ...(source.port === 0 ? {} : { localPort: source.port }) }
  return { where, prepare: preparing(host, source.options) }
}

function asItIs(): void {}

function preparing(host: string, options: readonly SocketOption[]): ConnectTarget['prepare'] {
  if (options.length === 0) return asItIs
  return (socket) => {
    try {
      ownSockets().prepare(socket, host, options)
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }
}
