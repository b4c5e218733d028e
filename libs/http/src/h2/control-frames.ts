import type { ResetReason } from '../stream.ts'
import type { AbuseBudget } from './abuse-budget.ts'
import type { FloodEvent } from './codec-event.ts'
import { errorCode, errorCodeName } from './error-code.ts'
import { flag, frameType, readUint32 } from './frame.ts'
import type { Outbox } from './outbox.ts'
import type { PeerSettings } from './settings.ts'
import type { Http2Stream } from './stream.ts'
import type { StreamTable } from './stream-table.ts'

/** What control frames act on. */
export interface ControlOwner {
  readonly isServer: boolean
  readonly isDead: boolean
  readonly streams: StreamTable
  readonly peer: PeerSettings
  readonly outbox: Outbox
  readonly budget: AbuseBudget
  isIdle(streamId: number): boolean
  fail(code: number, detail: string): void
  violate(code: number, detail: string, streamId?: number): void
  violateStream(stream: Http2Stream, code: number, detail: string): void
  flood(what: FloodEvent): void
  streamError(stream: Http2Stream, code: number, detail: string): void
  /** The peer gave the stream up. */
  resetByPeer(stream: Http2Stream): void
  /** The same, as what it may have to be blamed for. */
  notePeerReset(stream: Http2Stream): void
  onGoaway(lastStreamId: number, code: number): void
  /** The peer's settings count. */
  onPeerSettings(): void
  /** The peer has taken ours. */
  onOwnSettings(): void
}

/** The frames of a connection that carry no part of a message (RFC 9113 sections 6.3 to 6.9), each against its budget. */
export class ControlFrames {
  sawSettings = false
  settingsAcked = false
  private readonly owner: ControlOwner

  constructor(owner: ControlOwner) {
    this.owner = owner
  }

  frame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case frameType.priority:
        this.onPriority(streamId, bytes, start, end)
        break
      case frameType.rstStream:
        this.onResetStream(streamId, bytes, start, end)
        break
      case frameType.settings:
        this.onSettings(flags, streamId, bytes, start, end)
        break
      case frameType.pushPromise:
        if (end - start < 4) this.owner.fail(errorCode.frameSizeError, 'PUSH_PROMISE frame of a wrong size')
        else this.owner.violate(errorCode.protocolError, 'PUSH_PROMISE', streamId)
        break
      case frameType.ping:
        this.onPing(flags, streamId, bytes, start, end)
        break
      case frameType.goaway:
        this.onGoaway(streamId, bytes, start, end)
        break
      case frameType.windowUpdate:
        this.onWindowUpdate(streamId, bytes, start, end)
        break
      default:
        this.counted(this.owner.budget.controlReceived())
    }
  }

  /** True: within the budget. */
  private counted(flood: FloodEvent | null): boolean {
    if (flood === null) return true
    this.owner.flood(flood)
    return false
  }

  private onPriority(streamId: number, bytes: Buffer, start: number, end: number): void {
    const { owner } = this
    if (streamId === 0) owner.fail(errorCode.protocolError, 'PRIORITY on stream 0')
    else if (end - start !== 5) {
      const stream = owner.streams.get(streamId)
      if (stream !== null) owner.streamError(stream, errorCode.frameSizeError, 'PRIORITY frame of a wrong size')
      else if (owner.isIdle(streamId)) owner.fail(errorCode.frameSizeError, 'PRIORITY frame of a wrong size')
      else owner.outbox.resetStream(streamId, errorCode.frameSizeError)
    } else if ((readUint32(bytes, start) & 0x7fffffff) === streamId) {
      owner.fail(errorCode.protocolError, 'stream depends on itself')
    } else this.counted(owner.budget.priorityReceived())
  }

  private onResetStream(streamId: number, bytes: Buffer, start: number, end: number): void {
    const { owner } = this
    if (end - start !== 4) owner.fail(errorCode.frameSizeError, 'RST_STREAM frame of a wrong size')
    else if (streamId === 0 || owner.isIdle(streamId)) owner.violate(errorCode.protocolError, 'RST_STREAM on an idle stream')
    else {
      const stream = owner.streams.get(streamId)
      if (stream === null) this.counted(owner.budget.controlReceived())
      else {
        const code = readUint32(bytes, start)
        const { user } = stream
        owner.resetByPeer(stream)
        if (owner.isServer && code === errorCode.protocolError) user?.onReset('protocol-error', 'http2.remote_reset')
        else user?.onReset(this.resetReason(code), errorCodeName(code))
        if (owner.isServer) owner.notePeerReset(stream)
      }
      if (owner.isServer && !owner.budget.resetReceived())
        owner.fail(errorCode.internalError, 'more RST_STREAM frames than are allowed')
    }
  }

  private resetReason(code: number): ResetReason {
    if (code === errorCode.refusedStream) return 'refused-stream'
    // A server that finds fault with our bytes.
    return code === errorCode.protocolError ? 'protocol-error' : 'remote-reset'
  }

  private onSettings(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const { owner } = this
    const isAck = (flags & flag.ack) !== 0
    const length = end - start
    if (length % 6 !== 0 || (isAck && length > 0)) {
      owner.fail(errorCode.frameSizeError, 'SETTINGS frame of a wrong size')
      return
    }
    if (streamId !== 0 || (!this.sawSettings && isAck)) {
      owner.violate(errorCode.protocolError, 'SETTINGS not on stream 0, or not at first', streamId)
      return
    }
    this.sawSettings = true
    if (!this.counted(owner.budget.controlReceived())) return
    if (isAck) {
      this.onSettingsAck()
      return
    }
    const { peer } = owner
    const windowBefore = peer.initialWindowSize
    const problem = peer.apply(bytes, start, end, !owner.isServer)
    if (problem !== errorCode.noError) {
      owner.violate(problem, 'invalid SETTINGS value')
      return
    }
    owner.outbox.hpack.setPeerLimit(peer.headerTableSize)
    owner.outbox.maxFrameSize = Math.min(peer.maxFrameSize, 65536)
    const delta = peer.initialWindowSize - windowBefore
    if (delta !== 0) {
      for (const stream of owner.streams.all()) {
        if (stream.sendWindow.widen(delta)) continue
        owner.fail(errorCode.flowControlError, 'a window beyond 2^31-1')
        return
      }
    }
    owner.outbox.settingsAck()
    if (owner.isDead) return
    if (delta > 0) for (const stream of owner.streams.all()) owner.outbox.streamWidened(stream)
    owner.onPeerSettings()
  }

  /** What we said counts from now on. */
  private onSettingsAck(): void {
    const { owner } = this
    if (this.settingsAcked) {
      owner.violate(errorCode.protocolError, 'SETTINGS acknowledged twice')
      return
    }
    this.settingsAcked = true
    owner.onOwnSettings()
  }

  private onPing(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const { owner } = this
    if (end - start !== 8) owner.fail(errorCode.frameSizeError, 'PING frame of a wrong size')
    else if (streamId !== 0) owner.violate(errorCode.protocolError, 'PING not on stream 0', streamId)
    else if (!this.counted(owner.budget.controlReceived())) return
    else if ((flags & flag.ack) === 0) owner.outbox.ping(true, bytes, start)
  }

  private onGoaway(streamId: number, bytes: Buffer, start: number, end: number): void {
    const { owner } = this
    if (end - start < 8) owner.fail(errorCode.frameSizeError, 'GOAWAY frame of a wrong size')
    else if (streamId !== 0) owner.violate(errorCode.protocolError, 'GOAWAY not on stream 0', streamId)
    else owner.onGoaway(readUint32(bytes, start) & 0x7fffffff, readUint32(bytes, start + 4))
  }

  private onWindowUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
    const { owner } = this
    if (end - start !== 4) {
      owner.fail(errorCode.frameSizeError, 'WINDOW_UPDATE frame of a wrong size')
      return
    }
    if (!this.counted(owner.budget.windowUpdateReceived())) return
    const increment = readUint32(bytes, start) & 0x7fffffff
    if (streamId === 0) {
      if (increment === 0) owner.violate(errorCode.protocolError, 'WINDOW_UPDATE of 0')
      else if (!owner.outbox.window.widen(increment)) owner.fail(errorCode.flowControlError, 'a window beyond 2^31-1')
      else owner.outbox.pump()
      return
    }
    if (owner.isIdle(streamId)) {
      owner.violate(errorCode.protocolError, 'WINDOW_UPDATE on an idle stream')
      return
    }
    const stream = owner.streams.get(streamId)
    if (stream === null) return
    if (increment === 0) owner.violateStream(stream, errorCode.protocolError, 'WINDOW_UPDATE of 0')
    else if (!stream.sendWindow.widen(increment)) {
      // As RFC 9113 section 6.9.1 asks; Envoy ends the connection without a word.
      owner.streamError(stream, errorCode.flowControlError, 'a window beyond 2^31-1')
    } else owner.outbox.streamWidened(stream)
  }
}
