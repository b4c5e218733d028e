import type net from 'node:net'
import { constants } from 'node:os'
import tls from 'node:tls'
import { setReading, takeReads } from './direct-handle.ts'
import { endedBadly, isNotNow, type ReadyListener, readBuffer, readSize, threadPoller } from './poller.ts'
import { roundTripsAreAsked } from './round-trips.ts'
import { socketCalls } from './socket-calls.ts'
import { systemFailure } from './system-failure.ts'

/** How often a socket that fills the buffer is read in one round. */
const readsAtOnce = 16

/**
 * What TLS sockets of this thread read into: not the plain ones' buffer, so that it can't matter when Node decrypts. Measured
 * (bench mesh): 'data' events cost an allocation of 64 KiB a read.
 */
export const secureReadBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** What of a socket's handle is used for its reads; Node's own field, with no public way to it. */
export interface SocketHandle {
  reading: boolean
  readonly fd: number
  readStart(): number
  readStop(): number
}

export interface WithHandle {
  _handle: SocketHandle | null
}

/**
 * How bytes of a socket, and its end, come in: those of a plain one that is connected by the thread's poller, where there is one; else by Node,
 * past its stream where that can be.
 */
export abstract class SocketReads implements ReadyListener {
  readonly socket: net.Socket
  /** It is one of Node's TLS. */
  protected readonly secure: boolean
  protected paused = false
  protected closed = false
  /** It was accepted, and `startReading` is to come. */
  isUnread = false
  private peerEnded = false
  /** The handle's reads come here, past the stream. */
  private takesReads = false
  /** Of a socket that the poller reads and writes, its handle and descriptor. */
  protected polled: SocketHandle | null = null
  fd = -1
  isAnswer = false
  readsLittle = false
  /** Bytes of the poller's round that another connection's had this one pause behind. */
  private held: Buffer | null = null
  /** The poller's, while it polls for this connection. */
  private slot = -1
  private lastRoundTripMs: number | null = null

  /** `socket` is set up by the caller: a plain one reads by `onread`, any other by its data events. */
  constructor(socket: net.Socket) {
    this.socket = socket
    this.secure = socket instanceof tls.TLSSocket
    // The stream knows nothing of what waits here: it must not end by itself when the peer does.
    socket.allowHalfOpen = true
    socket.on('end', () => this.tellEnd())
  }

  /** A read happened: `onread`'s callback, or a data event. Gives whether to go on reading. */
  abstract deliver(bytes: Buffer, start: number, end: number): boolean

  /** The peer sends no more; called once. */
  protected abstract onPeerEnd(): void

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
    const poller = threadPoller()
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
    this.slot = threadPoller()!.add(this.fd, this)
    if (this.slot < 0) this.pollNoMore()
  }

  protected pollOff(): void {
    if (this.slot < 0) return
    if (this.isOpen) threadPoller()!.remove(this.slot, this.fd)
    else threadPoller()!.forget(this.slot)
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
      const length = threadPoller()!.receive(this.fd, readBuffer)
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

  private tellEnd(): void {
    if (this.peerEnded) return
    this.peerEnded = true
    this.onPeerEnd()
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

  /** Reads no more until `goOnReading`; what another's round has read already is kept. */
  protected stopReading(): void {
    this.paused = true
    if (this.polled !== null) this.pollOff()
    else if (this.takesReads) setReading(this.socket, false)
    else this.socket.pause()
  }

  protected goOnReading(): void {
    this.paused = false
    if (this.held !== null) setImmediate(this.deliverHeld)
    else if (this.isOpen) this.pollOn()
    else if (this.takesReads) setReading(this.socket, true)
    else this.socket.resume()
  }

  /** How long (ms) a packet takes to the peer and back, or did at the end; null: nobody can tell. */
  get roundTripMs(): number | null {
    return (this.isOpen ? socketCalls().roundTripMs(this.socket) : null) ?? this.lastRoundTripMs
  }
}
