import { createRequire } from 'node:module'
import net from 'node:net'
import { endianness } from 'node:os'
import { WeftError } from '@weft/service/errors'
import type * as Koffi from 'koffi'
import { plainAddress } from './address.ts'

/** An IP address and a port. */
export interface Destination {
  address: string
  port: number
}

/** What Node has no way to ask the kernel of a socket. */
export interface SocketCalls {
  /** Where a connection was going before netfilter's REDIRECT or DNAT led it here; null: nothing changed its way. */
  originalDestination(socket: net.Socket): Destination | null
  /** Lets a listening socket take connections to any address (TPROXY). Throws where the right to (CAP_NET_ADMIN) is missing. */
  setTransparent(server: net.Server): void
  /** Whether the peer's system has yet to acknowledge something that was written; null: nobody can tell. */
  hasUnacknowledged(socket: net.Socket): boolean | null
  /** How long (ms, whole ones) a packet takes to the peer and back, as the peer's system acknowledges them; null: nobody can tell. */
  roundTripMs(socket: net.Socket): number | null
  /**
   * Has a listening TCP socket take no new connections: who begins one goes unanswered and tries again, while those that have
   * begun come through. A socket that is closed after that loses nobody.
   */
  refuseNew(server: net.Server): void
}

/**
 * A program of the kernel's packet filter (bpf(4), classic) for a TCP socket, whose packets begin with the TCP header: what
 * has SYN and no ACK is dropped. Each instruction is a code, two jumps and a value, in the machine's byte order.
 */
const dropsSyn = [
  [0x30, 0, 0, 13], // ld the flags
  [0x54, 0, 0, 0x12], // and SYN|ACK
  [0x15, 0, 1, 0x02], // SYN alone?
  [0x06, 0, 0, 0], // drop
  [0x06, 0, 0, 0xffff_ffff], // keep all of it
] as const
const attachFilter = { level: 1, option: 26 } as const

/** Levels and options of `getsockopt(2)` and `setsockopt(2)` on Linux: ip(7), ipv6(7), netfilter_ipv4.h, netfilter_ipv6/ip6_tables.h. */
const linux = {
  v4: { level: 0, originalDestination: 80, transparent: 19 },
  v6: { level: 41, originalDestination: 80, transparent: 75 },
} as const

/** tcp(7): the option, where `tcpi_unacked` and `tcpi_rtt` (µs) stand in `struct tcp_info` (linux/tcp.h), and TCP_CLOSE, a state of its first byte. */
const tcpInfo = { level: 6, option: 11, size: 104, unacknowledgedAt: 24, roundTripAt: 68, closed: 7 } as const

let calls: SocketCalls | undefined

/**
 * The calls, through koffi, which is loaded on first use: few proxies need it. Throws `failed_precondition` where it is not
 * installed or the system is no Linux.
 */
export function socketCalls(): SocketCalls {
  calls ??= load()
  return calls
}

function load(): SocketCalls {
  if (process.platform !== 'linux') {
    throw new WeftError('failed_precondition', 'original destinations can be read on Linux only')
  }
  let koffi: typeof Koffi
  try {
    koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
  } catch (error) {
    throw new WeftError('failed_precondition', 'original destinations cannot be read: the package koffi cannot be loaded', {
      cause: error,
      hint: 'npm install koffi, or leave original_dst, use_original_dst and transparent out',
    })
  }
  const libc = koffi.load(null)
  const getsockopt = libc.func('int getsockopt(int, int, int, void *, void *)')
  const setsockopt = libc.func('int setsockopt(int, int, int, void *, unsigned int)')
  const program = koffi.struct({ length: 'uint16_t', instructions: 'void *' })
  const setFilter = libc.func('setsockopt', 'int', ['int', 'int', 'int', koffi.pointer(program), 'unsigned int'])
  // Calls don't overlap: one buffer serves all.
  const address = Buffer.alloc(28)
  const length = new Uint32Array(1)
  const info = Buffer.alloc(tcpInfo.size)
  const readInfo = (socket: net.Socket): boolean => {
    const fd = fdOf(socket)
    length[0] = info.length
    return fd !== null && getsockopt(fd, tcpInfo.level, tcpInfo.option, info, length) === 0
  }
  return {
    originalDestination(socket) {
      const fd = fdOf(socket)
      if (fd === null) return null
      // An IPv4 connection on an IPv6 socket is IPv4 to netfilter.
      const local = plainAddress(socket.localAddress ?? '')
      const v6 = net.isIPv6(local)
      const family = v6 ? linux.v6 : linux.v4
      length[0] = address.length
      if (getsockopt(fd, family.level, family.originalDestination, address, length) !== 0) return null
      const destination = readSocketAddress(address)
      // The kernel tells its own address of a connection that came here straight.
      return destination?.address === local && destination.port === socket.localPort ? null : destination
    },
    hasUnacknowledged(socket) {
      if (!readInfo(socket)) return null
      // A connection that was reset has forgotten what it sent.
      return info[0] === tcpInfo.closed || info.readUInt32LE(tcpInfo.unacknowledgedAt) > 0
    },
    roundTripMs(socket) {
      return readInfo(socket) ? Math.floor(info.readUInt32LE(tcpInfo.roundTripAt) / 1000) : null
    },
    refuseNew(server) {
      const fd = fdOf(server)
      const at = server.address()
      if (fd === null || at === null || typeof at === 'string') return
      const instructions = Buffer.alloc(dropsSyn.length * 8)
      const view = new DataView(instructions.buffer, instructions.byteOffset, instructions.length)
      const little = endianness() === 'LE'
      for (const [i, [code, ifTrue, ifFalse, value]] of dropsSyn.entries()) {
        view.setUint16(i * 8, code, little)
        view.setUint8(i * 8 + 2, ifTrue)
        view.setUint8(i * 8 + 3, ifFalse)
        view.setUint32(i * 8 + 4, value, little)
      }
      const { level, option } = attachFilter
      if (setFilter(fd, level, option, { length: dropsSyn.length, instructions }, koffi.sizeof(program)) !== 0)
        throw new WeftError('failed_precondition', 'a listening socket cannot be given a packet filter')
    },
    setTransparent(server) {
      const fd = fdOf(server)
      const at = server.address()
      // A pipe has no addresses to be transparent for.
      if (at === null || typeof at === 'string') return
      const family = at.family === 'IPv6' ? linux.v6 : linux.v4
      if (fd === null || setsockopt(fd, family.level, family.transparent, Buffer.from(Uint32Array.of(1).buffer), 4) !== 0) {
        throw new WeftError('failed_precondition', 'a listening socket cannot be made transparent', {
          hint: 'the proxy needs CAP_NET_ADMIN for that; without it use REDIRECT',
        })
      }
    },
  }
}

/** Reads a `sockaddr_in` or `sockaddr_in6`; null for other families. */
export function readSocketAddress(bytes: Buffer): Destination | null {
  const family = new Uint16Array(bytes.buffer, bytes.byteOffset, 1)[0]
  const port = bytes.readUInt16BE(2)
  if (family === 2) return { address: bytes.subarray(4, 8).join('.'), port }
  if (family !== 10) return null
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(8 + 2 * i).toString(16))
  return { address: plainAddress(new net.SocketAddress({ family: 'ipv6', address: groups.join(':') }).address), port }
}

/** The descriptor of a socket; Node's own field, with no public way to it. */
function fdOf(socket: net.Socket | net.Server): number | null {
  const { _handle: handle } = socket as unknown as { _handle: { fd?: number } | null }
  const fd = handle?.fd ?? -1
  return fd < 0 ? null : fd
}
