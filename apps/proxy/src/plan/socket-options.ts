import type { TcpKeepalive } from '@weft/contracts/envoy/config/core/v3/address'
import { SocketOption_SocketState, type SocketOption as Source } from '@weft/contracts/envoy/config/core/v3/socket_option'
import { WeftError } from '@weft/service/errors'
import { int, ownSockets, type SocketOption } from '../transport/own-socket.ts'

/** What a resource asks of its TCP sockets. */
export interface SocketWishes {
  options?: readonly Source[]
  keepalive?: TcpKeepalive | undefined
  freebind?: boolean | undefined
  fastOpenQueue?: number | undefined
}

/** socket(7), tcp(7), ip(7) on Linux. */
const socketLevel = 1
const tcpLevel = 6
const keepAlive = { level: socketLevel, name: 9 }
const keepAliveIdle = { level: tcpLevel, name: 4 }
const keepAliveInterval = { level: tcpLevel, name: 5 }
const keepAliveProbes = { level: tcpLevel, name: 6 }
const fastOpen = { level: tcpLevel, name: 23 }
/** It holds for IPv6 too (`inet->freebind`). */
const freeBind = { level: 0, name: 15 }

const states = {
  [SocketOption_SocketState.STATE_PREBIND]: 'prebind',
  [SocketOption_SocketState.STATE_BOUND]: 'bound',
  [SocketOption_SocketState.STATE_LISTENING]: 'listening',
} as const

/** The options to set, in order. Throws WeftError at `path` where there are some and the system has no way to set them. */
export function compileSocketOptions(wishes: SocketWishes, path: string): readonly SocketOption[] {
  const { options = [], keepalive, freebind, fastOpenQueue } = wishes
  const all = [
    ...(freebind === undefined ? [] : [at('prebind', freeBind, freebind ? 1 : 0)]),
    ...keepaliveOptions(keepalive),
    ...(fastOpenQueue === undefined ? [] : [at('listening', fastOpen, fastOpenQueue)]),
    ...options.flatMap(fromSource),
  ]
  if (all.length > 0) requireOwnSockets(path)
  return all
}

/** Those that sockets which connect are given: Envoy comes to no other state with them. */
export function prebindOnly(options: readonly Source[] = []): readonly Source[] {
  return options.filter(({ state }) => state === SocketOption_SocketState.STATE_PREBIND)
}

function fromSource({ level, name, value, state, type }: Source): SocketOption[] {
  if (type?.type?.$case === 'datagram' || value === undefined || !(state in states)) return []
  const bytes = value.$case === 'bufValue' ? value.value : int(Number(BigInt.asIntN(32, BigInt(value.value))))
  return [{ level, name, value: bytes, state: states[state as keyof typeof states] }]
}

/** A zero anywhere means no keepalive at all. */
function keepaliveOptions(keepalive: TcpKeepalive | undefined): SocketOption[] {
  if (keepalive === undefined) return []
  const { keepaliveProbes, keepaliveTime, keepaliveInterval } = keepalive
  if ([keepaliveProbes, keepaliveTime, keepaliveInterval].includes(0)) return []
  return [
    at('prebind', keepAlive, 1),
    ...(keepaliveProbes === undefined ? [] : [at('prebind', keepAliveProbes, keepaliveProbes)]),
    ...(keepaliveTime === undefined ? [] : [at('prebind', keepAliveIdle, keepaliveTime)]),
    ...(keepaliveInterval === undefined ? [] : [at('prebind', keepAliveInterval, keepaliveInterval)]),
  ]
}

function at(state: SocketOption['state'], option: { level: number; name: number }, value: number): SocketOption {
  return { ...option, state, value: int(value) }
}

function requireOwnSockets(path: string): void {
  try {
    ownSockets()
  } catch (error) {
    const { code, message, hint } = WeftError.from(error)
    throw new WeftError(code, message, { cause: error, hint, where: { path } })
  }
}
