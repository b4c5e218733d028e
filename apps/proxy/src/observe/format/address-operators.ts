import { isIPv4, isIPv6 } from 'node:net'
import type { ConnectionInfo } from '../../transport/connection-info.ts'
import type { FormatContext } from './context.ts'
import { type Operator, type OperatorKind, plain } from './operator.ts'

interface Place {
  host: string
  port: number
}

const directRemote = ({ connection }: FormatContext): Place => place(connection.directRemote, connection, 'remote')
const local = ({ connection }: FormatContext): Place => ({ host: connection.localAddress, port: connection.localPort })
const directLocal = ({ connection }: FormatContext): Place => place(connection.directLocal, connection, 'local')
const remote = ({ info }: FormatContext): Place => ({ host: info.downstreamRemoteAddress, port: info.downstreamRemotePort })

function upstreamLocal({ info }: FormatContext): Place | null {
  const connection = info.upstreamConnection
  return connection === null ? null : { host: connection.localAddress, port: connection.localPort }
}

/** The address of an endpoint, once there is a connection to it. */
function upstreamRemote({ info }: FormatContext): Place | null {
  const address = info.upstreamEndpoint?.address
  if (address === undefined || !info.reachedUpstream) return null
  return address.type === 'ip' ? { host: address.host, port: address.port } : { host: address.path, port: 0 }
}

/** `X_ADDRESS`, `X_ADDRESS_WITHOUT_PORT(bits)` and `X_PORT` of one end of a connection. */
function family(name: string, read: (context: FormatContext) => Place | null): Record<string, OperatorKind> {
  return {
    ...plain({
      [`${name}_ADDRESS`]: (context) => {
        const place = read(context)
        return place === null ? null : withPort(place)
      },
      [`${name}_PORT`]: (context) => {
        const place = read(context)
        return place === null || place.port === 0 ? null : place.port
      },
    }),
    [`${name}_ADDRESS_WITHOUT_PORT`]: (argument) => {
      const mask = maskOf(argument)
      return (context) => {
        const place = read(context)
        return place === null || place.host === '' ? null : mask(place.host)
      }
    },
  }
}

/** An address of the kind that only proxies inside of one process have: it has no value for others. */
function endpointId(read: (context: FormatContext) => Place | null): Operator {
  return (context) => (read(context) === null ? null : '')
}

/** Addresses and ports of the connections of a request. */
export const addressOperators: Readonly<Record<string, OperatorKind>> = {
  ...family('DOWNSTREAM_REMOTE', remote),
  ...family('DOWNSTREAM_DIRECT_REMOTE', directRemote),
  ...family('DOWNSTREAM_LOCAL', local),
  ...family('DOWNSTREAM_DIRECT_LOCAL', directLocal),
  ...family('UPSTREAM_LOCAL', upstreamLocal),
  ...family('UPSTREAM_REMOTE', upstreamRemote),
  ...plain({
    DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID: endpointId(local),
    DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID: endpointId(local),
    UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID: endpointId(upstreamRemote),
  }),
}

/** Where a connection really came from or to, where that is another place than it says. */
function place(
  direct: { address: string; port: number } | undefined,
  connection: ConnectionInfo,
  end: 'local' | 'remote',
): Place {
  if (direct !== undefined) return { host: direct.address, port: direct.port }
  return { host: connection[`${end}Address`], port: connection[`${end}Port`] }
}

function withPort({ host, port }: Place): string | null {
  if (host === '') return null
  // A pipe has none.
  if (port === 0 && isIPv4(host) === isIPv6(host)) return host
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Gives an address with all but its first bits zero, in CIDR notation; a length that the address does not have gives it as it is. */
function maskOf(argument: string): (host: string) => string {
  const bits = /^\d{1,3}$/.test(argument) ? Number(argument) : Number.POSITIVE_INFINITY
  return (host) => {
    if (isIPv4(host)) return bits > 32 ? host : `${masked4(host, bits)}/${bits}`
    return isIPv6(host) && bits <= 128 ? `${masked6(host, bits)}/${bits}` : host
  }
}

function masked4(host: string, bits: number): string {
  return host
    .split('.')
    .map((byte, i) => Number(byte) & (0xff00 >> Math.max(0, Math.min(8, bits - i * 8))))
    .map((byte) => byte & 0xff)
    .join('.')
}

function masked6(host: string, bits: number): string {
  const [head = '', tail] = new URL(`http://[${host.split('%')[0]}]/`).hostname.slice(1, -1).split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [...before, ...Array(8 - before.length - after.length).fill('0'), ...after]
  const kept = groups.map((group, i) => {
    const keep = Math.max(0, Math.min(16, bits - i * 16))
    return (Number.parseInt(group, 16) & (0xffff0000 >>> keep) & 0xffff).toString(16)
  })
  return new URL(`http://[${kept.join(':')}]/`).hostname.slice(1, -1)
}
