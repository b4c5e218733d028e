import type net from 'node:net'
import type { ByteSink } from '@weft/http/stream'
import type { Counter, Gauge } from '../observe/stats.ts'
import { maxReceive, plainBytes, type TlsSession, type TlsUser } from '../tls/tls-session.ts'
import { beginTurn, endTurn } from './clock.ts'
import {
  type DirectWriter,
  hasEnded,
  notDirect,
  tellEnd,
  type WriteRequest,
  waiting,
  writeDirect,
  writeQuietly,
  written,
} from './direct-handle.ts'
import { isNotNow, threadPoller } from './poller.ts'
import { type OutputOwner, sharedOutput } from './shared-output.ts'
import { SocketReads } from './socket-reads.ts'
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

const delayedCloseMs = 1000
/** Bytes behind a write through TLS above which its sender has to stop. */
const secureQueue = 64 * 1024
/** Shared by connections with an empty queue; never changed. */
const noBytes: Buffer[] = []

/**
 * One socket, plain or TLS, downstream or upstream: bytes in by the handler, bytes out as a ByteSink over the thread's
 * shared output buffer.
 */
export class Connection extends SocketReads implements ByteSink, OutputOwner, DirectWriter, TlsUser {
  handler: ConnectionHandler
  private readonly timers: TimerWheel
  private stats: ConnectionStats | null
  /** TLS between the socket and the handler; null: there is none, or the socket is one of Node's TLS. */
  private session: TlsSession | null = null
  private closing: Timeout | null = null
  /** Nothing is read any more. */
  private turnedAway = false
  private failure: Error | null = null
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
  bytesRead = 0
  bytesWritten = 0

  /** `socket` is set up by the caller: see `open-connection.ts`. */
  constructor(socket: net.Socket, handler: ConnectionHandler, timers: TimerWheel, stats: ConnectionStats | null) {
    super(socket)
    this.handler = handler
    this.timers = timers
    this.stats = stats
    socket.on('error', (error) => {
      this.failure = error
    })
    socket.on('close', () => this.onSocketClose())
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

  protected onPeerEnd(): void {
    beginTurn()
    if (this.closing !== null) this.end('end')
    else if (!this.closed && this.session?.state !== 'ended') this.handler.onEnd()
    endTurn()
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
      sent = threadPoller()!.send(this.fd, bytes, start, end)
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
    if (this.secure) this.waitsForWrite()
    this.stopReading()
  }

  resume(): void {
    if (this.paused && !this.closed && !this.turnedAway) this.goOnReading()
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

  /** Closes now: by an end, or by a reset where something has come that was not read (the kernel's rule, which Envoy leaves it to). */
  destroy(): void {
    sharedOutput.drop(this)
    if (!this.socket.destroyed) this.socket.destroy()
  }

  /** Closes now with a TCP reset, as after an error. */
  resetNow(): void {
    sharedOutput.drop(this)
    if (!this.socket.destroyed) this.socket.resetAndDestroy()
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
