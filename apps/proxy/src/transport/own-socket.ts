import { createRequire } from 'node:module'
import net from 'node:net'
import { endianness } from 'node:os'
import { parseIp } from '@weft/attributes/ip'
import { WeftError } from '@weft/service/errors'
import type * as Koffi from 'koffi'

/** An option of `setsockopt(2)`, and when it is set: before the socket has an address, when it has, or when it listens. */
export interface SocketOption {
  level: number
  name: number
  value: Buffer
  state: 'prebind' | 'bound' | 'listening'
}

/** TCP sockets that are made here and not by Node, which has no way to set options of one that is not bound. */
interface OwnSockets {
  /** Gives a socket that is about to connect to an IP address (and has not begun to) a descriptor with these options. */
  prepare(socket: net.Socket, host: string, options: readonly SocketOption[]): void
  /** A bound descriptor for `net.Server.listen({ fd })`, shared by port. Its `code` says why one cannot be had. */
  bind(host: string, port: number, ipv6Only: boolean, options: readonly SocketOption[]): number
  /** Sets the options of a state that a server has come to. */
  apply(server: net.Server, options: readonly SocketOption[], state: SocketOption['state']): void
}

/** socket(7), ip(7), ipv6(7) on Linux. */
const linux = {
  inet: 2,
  inet6: 10,
  stream: 1,
  nonBlocking: 0o4000,
  closeOnExec: 0o2000000,
  socket: 1,
  reuseAddress: 2,
  reusePort: 15,
  ipv6: 41,
  ipv6Only: 26,
} as const

let sockets: OwnSockets | undefined

/** The calls, through koffi, which is loaded on first use. Throws `failed_precondition` where it is not there, or the system is no Linux. */
export function ownSockets(): OwnSockets {
  sockets ??= load()
  return sockets
}

function load(): OwnSockets {
  const hint = 'leave socket_options, tcp_keepalive, freebind and tcp_fast_open_queue_length out'
  if (process.platform !== 'linux')
    throw new WeftError('failed_precondition', 'options of sockets can be set on Linux only', { hint })
  let koffi: typeof Koffi
  try {
    koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
  } catch (cause) {
    throw new WeftError('failed_precondition', 'options of sockets cannot be set: the package koffi cannot be loaded', {
      cause,
      hint,
    })
  }
  const libc = koffi.load(null)
  const open = libc.func('int socket(int, int, int)')
  const close = libc.func('int close(int)')
  const bind = libc.func('int bind(int, const void *, unsigned int)')
  const setsockopt = libc.func('int setsockopt(int, int, int, const void *, unsigned int)')

  const failure = (call: string): Error => {
    const number = koffi.errno()
    const code = Object.entries(koffi.os.errno).find(([, value]) => value === number)?.[0] ?? String(number)
    return Object.assign(new Error(`${call} ${code}`), { code, syscall: call })
  }
  const setAll = (fd: number, options: readonly SocketOption[], state: SocketOption['state']): void => {
    for (const { level, name, value } of options.filter((option) => option.state === state))
      if (setsockopt(fd, level, name, value, value.length) !== 0)
        throw Object.assign(new Error('Setting socket options failed'), { cause: failure('setsockopt'), syscall: 'setsockopt' })
  }
  const make = (host: string, options: readonly SocketOption[]): number => {
    const family = net.isIPv6(host) ? linux.inet6 : linux.inet
    const fd: number = open(family, linux.stream | linux.nonBlocking | linux.closeOnExec, 0)
    if (fd < 0) throw failure('socket')
    return closingOnError(fd, () => setAll(fd, options, 'prebind'))
  }
  const closingOnError = (fd: number, work: () => void): number => {
    try {
      work()
      return fd
    } catch (error) {
      close(fd)
      throw error
    }
  }
  return {
    prepare(socket, host, options) {
      const { _handle: handle } = socket as unknown as { _handle: { open(fd: number): number } }
      const fd = make(host, options)
      closingOnError(fd, () => {
        if (handle.open(fd) !== 0) throw new Error('a socket cannot be given a descriptor')
      })
    },
    bind(host, port, ipv6Only, options) {
      const fd = make(host, options)
      return closingOnError(fd, () => {
        const one = int(1)
        setsockopt(fd, linux.socket, linux.reuseAddress, one, one.length)
        setsockopt(fd, linux.socket, linux.reusePort, one, one.length)
        if (net.isIPv6(host)) {
          const only = int(ipv6Only ? 1 : 0)
          setsockopt(fd, linux.ipv6, linux.ipv6Only, only, only.length)
        }
        const address = socketAddress(host, port)
        if (bind(fd, address, address.length) !== 0) throw failure('bind')
        setAll(fd, options, 'bound')
      })
    },
    apply(server, options, state) {
      const { _handle: handle } = server as unknown as { _handle: { fd: number } | null }
      if (handle !== null) setAll(handle.fd, options, state)
    },
  }
}

/** A C `int` in the machine's byte order. */
export function int(value: number): Buffer {
  return Buffer.from(Int32Array.of(value).buffer)
}

/** A `sockaddr_in` or `sockaddr_in6`. */
function socketAddress(host: string, port: number): Buffer {
  const v6 = net.isIPv6(host)
  const address = Buffer.alloc(v6 ? 28 : 16)
  const family = v6 ? linux.inet6 : linux.inet
  if (endianness() === 'LE') address.writeUInt16LE(family, 0)
  else address.writeUInt16BE(family, 0)
  address.writeUInt16BE(port, 2)
  const bytes = parseIp(host)
  if (bytes === undefined) throw new Error(`malformed IP address: ${host}`)
  address.set(bytes, v6 ? 8 : 4)
  return address
}
