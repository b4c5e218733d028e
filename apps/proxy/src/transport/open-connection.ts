import net from 'node:net'
import tls from 'node:tls'
import type { Connection } from './connection.ts'
import { readDirect } from './direct-handle.ts'
import { readBuffer } from './poller.ts'
import { type SocketHandle, secureReadBuffer, type WithHandle } from './socket-reads.ts'

/**
 * Takes an accepted socket's handle out and gives it to a new socket that reads into the shared buffer: `onread` can't be
 * asked for on a server's sockets. Measured: 'data' events cost 4 to 5 µs a request more.
 */
export function rewrapAccepted(accepted: net.Socket, makeHandler: (socket: net.Socket) => Connection): Connection {
  const holder = accepted as unknown as WithHandle
  const handle = holder._handle
  if (handle === null) return makeHandler(accepted)
  holder._handle = null
  handle.readStop()
  // Or the new socket would begin to read at once; `startReading` follows.
  handle.reading = true
  let connection: Connection | null = null
  const onBytes = (length: number) => connection?.deliver(readBuffer, 0, length) ?? true
  // The types know `handle` only as another class than an accepted socket's.
  const options: Omit<net.SocketConstructorOpts, 'handle'> & { handle: SocketHandle } = {
    handle,
    readable: true,
    writable: true,
    allowHalfOpen: true,
    onread: { buffer: readBuffer, callback: onBytes },
  }
  const socket = new net.Socket(options as unknown as net.SocketConstructorOpts)
  readDirect(socket, onBytes)
  connection = makeHandler(socket)
  connection.isUnread = true
  return connection
}

/** A connecting TLS socket that reads into a buffer of its thread. */
export function connectSecure(options: tls.ConnectionOptions, makeHandler: (socket: tls.TLSSocket) => Connection): Connection {
  let connection: Connection | null = null
  const callback = (length: number) => connection?.deliver(secureReadBuffer, 0, length) ?? true
  // Node hands it to the socket, which the types of `tls.connect` don't say.
  const onread: Pick<net.SocketConstructorOpts, 'onread'> = { onread: { buffer: secureReadBuffer, callback } }
  const socket = tls.connect({ ...options, ...onread })
  socket.once('secureConnect', () => readDirect(socket, callback))
  connection = makeHandler(socket)
  return connection
}

/** A connecting plain socket that reads into the shared buffer. */
export function connectPlain(target: net.NetConnectOpts, makeHandler: (socket: net.Socket) => Connection): Connection {
  let connection: Connection | null = null
  const onBytes = (length: number) => connection?.deliver(readBuffer, 0, length) ?? true
  const onread = { buffer: readBuffer, callback: onBytes }
  const socket = net.connect({ ...target, noDelay: true, allowHalfOpen: true, onread })
  // Before that its handle may be another than it will have.
  socket.once('connect', () => {
    readDirect(socket, onBytes)
    connection?.poll(true, false)
  })
  connection = makeHandler(socket)
  return connection
}
