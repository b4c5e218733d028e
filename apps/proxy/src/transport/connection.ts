import net from 'node:net'
import { constants } from 'node:os'
import tls from 'node:tls'
import type { ByteSink } from '@weft/http/stream'
import type { Counter, Gauge } from '../observe/stats.ts'
import { maxReceive, plainBytes, type TlsSession, type TlsUser } from '../tls/tls-session.ts'
import { beginTurn, endTurn } from './clock.ts'
import {
  type DirectWriter,
  hasEnded,
  notDirect,
  readDirect,
  setReading,
  takeReads,
  tellEnd,
  type WriteRequest,
  waiting,
  writeDirect,
  writeQuietly,
  written,
} from './direct-handle.ts'
import { discardUnread } from './discard-unread.ts'
import { endedBadly, isNotNow, type Poller, type ReadyListener, readBuffer, readSize, threadPoller } from './poller.ts'
import { roundTripsAreAsked } from './round-trips.ts'
import { type OutputOwner, sharedOutput } from './shared-output.ts'
import { socketCalls } from './socket-calls.ts'
import { systemFailure } from './system-failure.ts'
import { Timeout, type TimerWheel } from './timer-wheel.ts'

/** Who uses a connection. */
export interface ConnectionHandler {
  /** Bytes are valid during the call. */
  onBytes(bytes: Buffer, start: number, end: number): void
  /** The peer sends no more (it may still read). */
  onEnd(): void
  /** What was written has left; more may be written. */
  onWritable(): void
  /** The connection is gone; called once. */
  onClose(error: Error | null): void
  /** Its TLS handshake is done. */
  onSecured?(): void
}

/** Who has no use for a connection. */
export const ignore: ConnectionHandler = { onBytes() {}, onEnd() {}, onWritable() {}, onClose() {} }

/** Counted by a connection as bytes move. */
export interface ConnectionStats {
  bytesRead: Counter
  bytesWritten: Counter
  bytesWrittenBuffered: Gauge
}

/** Of this thread, from its first plain socket on. */
let poller: Poller | null = null
/** How often a socket that fills the buffer is read in one round. */
const readsAtOnce = 16

const delayedCloseMs = 1000
/** Bytes behind a write through TLS above which its sender has to stop. */
const secureQueue = 64 * 1024
/** Shared by connections with an empty queue; never changed. */
const noBytes: Buffer[] = []

/**
 * One socket, plain or TLS, downstream or upstream: bytes in by the handler, bytes out as a ByteSink over the thread's
 * shared output buffer.
 */
export class Connection implements ByteSink, OutputOwner, DirectWriter, ReadyListener, TlsUser {
  handler: ConnectionHandler
  readonly socket: net.Socket
  private readonly timers: TimerWheel
  private stats: ConnectionStats | null
  /** TLS between the socket and the handler; null: there is none, or the socket is one of Node's TLS. */
  private session: TlsSession | null = null
  private paused = false
  private closed = false
  private closing: Timeout | null = null
  /** Nothing is read any more. */
  private turnedAway = false
  private failure: Error | null = null
  private readonly secure: boolean
  /** It was accepted, and `startReading` is to come. */
  isUnread = false
  /** The peer sends no more. */
  private peerEnded = false
  /** Bytes may wait in the socket's own queue, as they do until it is connected. */
  private streams = true
  /** A write on the handle has not ended: the kernel has not taken all, or it goes through TLS, where it never ends at once. */
  private directPending = false
  quiet: WriteRequest | null = null
  /** What was written behind it through TLS, where one write has to wait for the other. */
  private queue: Buffer[] = noBytes
  private queuedBytes = 0
  /** How to end once the queue is empty. */
  private ending: 'no' | 'end' | 'close' = 'no'
  /** The handle's reads come here, past the stream. */
  private takesReads = false
  /** Of a socket that the poller reads and writes, its handle and descriptor. */
  private polled: SocketHandle | null = null
  fd = -1
  isAnswer = false
  /** Bytes of the poller's round that another connection's had this one pause behind. */
  private held: Buffer | null = null
  /** The poller's, while it polls for this connection. */
  private slot = -1
  private lastRoundTripMs: number | null = null
  bytesRead = 0
  bytesWritten = 0

  /** `socket` is set up by the caller: a plain one reads by `onread` through `plainSocket`, any other by its data events. */
  constructor(socket: net.Socket, handler: ConnectionHandler, timers: TimerWheel, stats: ConnectionStats | null) {
    this.socket = socket
    this.handler = handler
    this.timers = timers
    this.stats = stats
    this.secure = socket instanceof tls.TLSSocket
    // The stream knows nothing of what waits here: it must not end by itself when the peer does.
    socket.allowHalfOpen = true
    socket.on('error', (error) => {
      this.failure = error
    })
    socket.on('close', () => this.onSocketClose())
    socket.on('end', () => this.tellEnd())
    socket.on('drain', () => {
      if (!this.directPending) this.onDrain()
    })
  }

  /** Bytes count in `stats` from now on. */
  countIn(stats: ConnectionStats): void {
    this.stats = stats
  }

  /** From now on TLS stands between the socket and the handler; `session` is the connection's. */
  useTls(session: TlsSession): void {
    this.session = session
  }

  /** Gives the handler that there is now what one before it has only looked at: it is read anew, and all that is. */
  redeliver(seen: Buffer): void {
    this.bytesRead = 0
    if (seen.length > 0) this.deliver(seen, 0, seen.length)
  }

  /** Gives the socket back, which is not read any more, and forgets it. */
  release(): net.Socket {
    const { socket } = this
    this.pause()
    this.polled = null
    this.closed = true
    socket.pause()
    return socket
  }

  /** A read happened: `onread`'s callback, or a data event. Gives whether to go on reading. */
  deliver(bytes: Buffer, start: number, end: number): boolean {
    if (this.session === null) return this.deliverPlain(bytes, start, end)
    let goesOn = true
    for (let at = start; at < end; at += maxReceive)
      goesOn = this.decrypt(this.session, bytes, at, Math.min(end, at + maxReceive))
    return goesOn
  }

  private decrypt(session: TlsSession, bytes: Buffer, start: number, end: number): boolean {
    const { state: before } = session
    const length = session.receive(bytes, start, end, this)
    const { state } = session
    if (before === 'handshake' && (state === 'open' || state === 'ended') && this.closing === null) {
      beginTurn()
      this.handler.onSecured?.()
      endTurn()
    }
    const goesOn = length === 0 ? !this.paused : this.deliverPlain(plainBytes, 0, length)
    if (state === before || this.closed) return goesOn
    if (state === 'failed') this.socket.destroy(session.failure ?? undefined)
    else if (state === 'ended' && this.closing === null) {
      beginTurn()
      this.handler.onEnd()
      endTurn()
    }
    return goesOn
  }

  private deliverPlain(bytes: Buffer, start: number, end: number): boolean {
    const length = end - start
    this.bytesRead += length
    if (this.stats !== null) this.stats.bytesRead.add(length)
    // After closeAfterWrite what comes is thrown away: it only keeps the peer's answer from being reset.
    if (this.closing !== null) return true
    beginTurn()
    this.handler.onBytes(bytes, start, end)
    endTurn()
    return !this.paused
  }

  /** For accepted sockets: reading begins when the handler is set, if it has not before. `now`: what has come is read at once. */
  startReading(now = false): void {
    if (this.secure) {
      this.readAccepted()
      return
    }
    if (!this.isUnread) return
    this.isUnread = false
    this.poll(false, now)
    if (!this.paused && !this.closed) this.socket.resume()
  }

  /** The poller takes over, if there is one: reads of a plain socket that is connected, and writes that the kernel takes at once. */
  poll(isAnswer: boolean, now: boolean): void {
    this.isAnswer = isAnswer
    poller = threadPoller()
    const { _handle: handle } = this.socket as unknown as WithHandle
    if (handle === null) return
    // As long as Node believes that it reads, it does not begin to.
    handle.reading = poller !== null && handle.fd >= 0
    if (!handle.reading) return
    this.polled = handle
    this.fd = handle.fd
    const { socket } = this
    const { _destroy: destroy } = socket
    socket._destroy = (error, callback) => {
      this.polled = null
      if (roundTripsAreAsked()) this.lastRoundTripMs = socketCalls().roundTripMs(socket)
      destroy.call(socket, error, callback)
    }
    if (this.paused) return
    // What is read here the poller need not tell.
    const length = now ? poller!.receive(this.fd, readBuffer) : -constants.errno.EAGAIN
    this.pollOn()
    if (length > 0) this.onRead(readBuffer, 0, length, length === readSize)
    else if (!isNotNow(length)) this.onReadEnd(length)
  }

  private pollOn(): void {
    if (this.slot >= 0 || this.peerEnded) return
    this.slot = poller!.add(this.fd, this)
    if (this.slot < 0) this.pollNoMore()
  }

  private pollOff(): void {
    if (this.slot < 0) return
    if (this.isOpen) poller!.remove(this.slot, this.fd)
    else poller!.forget(this.slot)
    this.slot = -1
  }

  /** Whether the polled socket still has its descriptor. */
  get isOpen(): boolean {
    return this.polled !== null
  }

  /** Node reads from now on: what ends a connection is its to tell. */
  private pollNoMore(): void {
    this.pollOff()
    const handle = this.polled
    this.polled = null
    if (handle === null || (this.socket as unknown as WithHandle)._handle !== handle) return
    const status = handle.readStart()
    if (status < 0) this.socket.destroy(systemFailure(-status, 'read'))
  }

  // ReadyListener

  onRead(bytes: Buffer, start: number, end: number, more: boolean): void {
    if (!this.isOpen) return
    if (this.paused) {
      this.held = Buffer.from(bytes.subarray(start, end))
      return
    }
    let goesOn = this.deliver(bytes, start, end) && more
    for (let reads = 1; goesOn && this.isOpen; reads++) {
      if (reads === readsAtOnce) {
        // The others' turn; this one is told of again.
        this.pollOff()
        this.pollOn()
        return
      }
      const length = poller!.receive(this.fd, readBuffer)
      if (length > 0) goesOn = this.deliver(readBuffer, 0, length)
      else {
        goesOn = false
        if (!isNotNow(length)) this.onReadEnd(length)
      }
    }
  }

  onReadEnd(result: number): void {
    const { socket } = this
    if (result !== 0 && result !== endedBadly) socket.destroy(systemFailure(-result, 'read'))
    // One that was paused meanwhile is told again.
    else if (this.paused) return
    else if (result === endedBadly) this.pollNoMore()
    else {
      this.pollOff()
      this.tellEnd()
      // The stream ends once it has been told, and closes when writing has ended too.
      socket.push(null)
      socket.read(0)
    }
  }

  /** The peer sends no more. */
  private tellEnd(): void {
    if (this.peerEnded) return
    this.peerEnded = true
    beginTurn()
    if (this.closing !== null) this.end('end')
    else if (!this.closed && this.session?.state !== 'ended') this.handler.onEnd()
    endTurn()
  }

  private readonly deliverHeld = (): void => {
    const { held } = this
    if (held === null || this.paused || !this.isOpen) return
    this.held = null
    if (this.deliver(held, 0, held.length) && this.isOpen) this.pollOn()
  }

  /** For sockets without `onread` (those of Node's TLS): reading begins. */
  readAccepted(): void {
    const { socket } = this
    const onBytes = (length: number) => this.deliver(secureReadBuffer, 0, length)
    if (!takeReads(socket, secureReadBuffer, onBytes)) {
      socket.on('data', (chunk: Buffer) => {
        this.deliver(chunk, 0, chunk.length)
      })
      return
    }
    this.takesReads = true
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) this.deliver(chunk, 0, chunk.length)
    if (!this.paused && !this.closed) setReading(socket, true)
  }

  // ByteSink

  reserve(size: number): Buffer {
    return sharedOutput.reserve(this, size)
  }

  get position(): number {
    return sharedOutput.position
  }

  commit(end: number): void {
    sharedOutput.commit(end)
  }

  get congested(): boolean {
    return (
      (this.directPending && !this.secure) || this.queuedBytes > secureQueue || (this.streams && this.socket.writableNeedDrain)
    )
  }

  /** Bytes handed to the socket that the kernel has not taken. */
  get buffered(): number {
    return this.socket.writableLength + this.queuedBytes
  }

  /** Gives what was written to the kernel now, and does not wait for the round's end. */
  private flush(): void {
    if (sharedOutput.holds(this)) sharedOutput.flush()
  }

  // OutputOwner

  writeOut(bytes: Buffer, start: number, end: number): boolean {
    if (this.closed) return true
    this.bytesWritten += end - start
    if (this.stats !== null) this.stats.bytesWritten.add(end - start)
    if (this.session === null) return this.sendOut(bytes, start, end)
    if (!this.session.send(bytes, start, end, this)) this.socket.destroy(this.session.failure ?? undefined)
    return true
  }

  // TlsUser

  transmit(bytes: Buffer, start: number, end: number): void {
    if (!this.closed) this.sendOut(bytes, start, end)
  }

  /** Nothing waits before what is written there. */
  get writableFd(): number {
    return this.polled !== null && !this.streams && !this.directPending ? this.fd : -1
  }

  /** Gives bytes to the kernel. False: they are still needed, which those that TLS has made never are. */
  private sendOut(bytes: Buffer, start: number, end: number): boolean {
    const { socket } = this
    if (this.streams) this.streams = socket.connecting || socket.writableLength !== 0
    let sent = 0
    if (this.isOpen && !this.streams && !this.directPending) {
      sent = poller!.send(this.fd, bytes, start, end)
      if (sent === end - start) return true
      if (sent < 0) {
        if (!isNotNow(sent)) {
          socket.destroy(systemFailure(-sent, 'write'))
          return true
        }
        sent = 0
      }
    }
    const rest = bytes.subarray(start + sent, end)
    return this.writeByNode(this.session === null ? rest : Buffer.from(rest))
  }

  private writeByNode(bytes: Buffer): boolean {
    const { socket } = this
    // Behind bytes that wait, these would wait too: a copy of them, so that the shared buffer is free.
    if (this.secure && this.waitsForWrite()) {
      if (this.queue === noBytes) this.queue = []
      this.queue.push(Buffer.from(bytes))
      this.queuedBytes += bytes.length
      return true
    }
    if (this.directPending || this.streams) {
      this.streams = true
      socket.write(Buffer.from(bytes))
      return true
    }
    // (A socket that is destroyed has no handle: it needs no asking.)
    // Of a peer that is gone, reads tell, and where there are none the end of a write.
    const quietly = this.secure && !this.paused
    const result = quietly ? writeQuietly(socket, bytes, this) : writeDirect(socket, bytes, this)
    if (result === written) return true
    if (result === waiting) {
      this.directPending = !quietly
      // TLS has encrypted them, or has a copy.
      return this.secure
    }
    if (result !== notDirect) {
      socket.destroy(systemFailure(-result, 'write'))
      return true
    }
    this.streams = true
    socket.write(bytes)
    return this.secure || socket.writableLength === 0
  }

  /** Whether a write through TLS is under way; `onWriteEnd` will follow it then. */
  private waitsForWrite(): boolean {
    if (this.directPending || hasEnded(this)) return this.directPending
    this.directPending = true
    tellEnd(this)
    return true
  }

  // DirectWriter

  onWriteEnd(status: number): void {
    this.directPending = false
    if (this.closed || this.socket.destroyed) return
    if (status < 0) {
      this.socket.destroy(systemFailure(-status, 'write'))
      return
    }
    if (this.queuedBytes > 0) {
      const { queue, queuedBytes } = this
      this.queue = noBytes
      this.queuedBytes = 0
      // They were counted when they came.
      if (writeDirect(this.socket, queue.length === 1 ? queue[0]! : Buffer.concat(queue), this) === waiting)
        this.directPending = true
      else this.socket.destroy()
      if (queuedBytes <= secureQueue) return
    } else if (this.ending !== 'no') {
      this.end(this.ending)
      return
    } else if (this.secure) return
    if (this.socket.writableLength === 0) this.onDrain()
  }

  /** Ends the socket's writing, or closes it, once what was written has left. */
  private end(how: 'end' | 'close'): void {
    this.session?.shutDown(this)
    if (this.secure && this.waitsForWrite()) this.ending = this.ending === 'close' ? 'close' : how
    else if (how === 'end') this.socket.end()
    else this.socket.destroySoon()
  }

  private onDrain(): void {
    beginTurn()
    if (!this.closed) this.handler.onWritable()
    endTurn()
  }

  /** Writes bytes that stay the caller's. */
  write(bytes: Buffer, start: number, end: number): boolean {
    const out = this.reserve(end - start)
    bytes.copy(out, sharedOutput.position, start, end)
    this.commit(sharedOutput.position + end - start)
    return !this.congested
  }

  pause(): void {
    if (this.paused || this.closed) return
    this.paused = true
    if (this.secure) this.waitsForWrite()
    if (this.polled !== null) this.pollOff()
    else if (this.takesReads) setReading(this.socket, false)
    else this.socket.pause()
  }

  resume(): void {
    if (!this.paused || this.closed || this.turnedAway) return
    this.paused = false
    if (this.held !== null) setImmediate(this.deliverHeld)
    else if (this.isOpen) this.pollOn()
    else if (this.takesReads) setReading(this.socket, true)
    else this.socket.resume()
  }

  /** Sends the end after what was written; goes on reading. */
  endWriting(): void {
    this.flush()
    if (!this.closed) this.end('end')
  }

  /**
   * Ends writing, and closes when the peer has closed too, or when it has not by then, of which `onLate` is told: an immediate close would let
   * the kernel throw the last bytes away when the peer has sent more than was read.
   */
  closeAfterWrite(limitMs = delayedCloseMs, onLate = () => {}): void {
    if (this.closed || this.closing !== null) return
    this.lingerAfterWrite(limitMs, onLate)
    this.end('end')
  }

  /** Closes when what was written has left and the peer has closed, or when it has not by then, of which `onLate` is told. */
  lingerAfterWrite(limitMs: number, onLate: () => void): void {
    if (this.closed || this.closing !== null) return
    this.flush()
    this.closing = new Timeout(() => {
      onLate()
      this.destroy()
    })
    this.timers.arm(this.closing, limitMs)
    if (this.paused) this.resume()
  }

  /**
   * Ends a connection whose peer overdoes it: what was written leaves, nothing is read any more, and a second later it is closed. Until
   * then the peer is stuck with it, where one that hears of an end can come again at once.
   */
  turnAway(): void {
    if (this.closed || this.closing !== null) return
    this.pause()
    this.turnedAway = true
    this.lingerAfterWrite(delayedCloseMs, () => {})
  }

  /** Closes when what was written has left, without waiting for the peer. */
  closeWhenFlushed(): void {
    if (this.closed) return
    this.flush()
    this.end('close')
  }

  /** Forgets what was written, as long as nothing of it has gone to the socket: true. */
  takeBack(): boolean {
    if (this.closed || this.socket.bytesWritten > 0) return false
    sharedOutput.drop(this)
    return true
  }

  /** Closes now; the kernel is given what was written, and no time to send it. */
  flushAndDestroy(): void {
    this.flush()
    this.destroy()
  }

  /** Closes now; one that was never read by an end, whatever has come. */
  destroy(): void {
    if (this.isUnread) discardUnread(this.socket)
    sharedOutput.drop(this)
    if (!this.socket.destroyed) this.socket.destroy()
  }

  /** Closes now with a TCP reset, as after an error. */
  resetNow(): void {
    sharedOutput.drop(this)
    if (!this.socket.destroyed) this.socket.resetAndDestroy()
  }

  /** How long (ms) a packet takes to the peer and back, or did at the end; null: nobody can tell. */
  get roundTripMs(): number | null {
    return (this.isOpen ? socketCalls().roundTripMs(this.socket) : null) ?? this.lastRoundTripMs
  }

  get isClosed(): boolean {
    return this.closed
  }

  private onSocketClose(): void {
    if (this.closed) return
    this.closed = true
    this.pollOff()
    sharedOutput.drop(this)
    if (this.closing !== null) this.timers.cancel(this.closing)
    beginTurn()
    this.handler.onClose(this.failure)
    endTurn()
    this.session?.free()
  }
}

/** What of a socket's handle is used here; Node's own field, with no public way to it. */
interface SocketHandle {
  reading: boolean
  readonly fd: number
  readStart(): number
  readStop(): number
}

interface WithHandle {
  _handle: SocketHandle | null
}

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

/**
 * What TLS sockets of this thread read into: not the plain ones' buffer, so that it can't matter when Node decrypts. Measured
 * (bench mesh): 'data' events cost an allocation of 64 KiB a read.
 */
const secureReadBuffer = Buffer.allocUnsafeSlow(64 * 1024)

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
