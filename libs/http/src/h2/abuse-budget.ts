import type { FloodEvent } from './codec-event.ts'
import type { AbuseLimits } from './options.ts'

/**
 * What is known of a peer: 'new' until it has read answers to some of its requests, 'fickle' while it gives so many up that those to
 * come had better wait until more of its bytes are read.
 */
export type PeerStanding = 'new' | 'steady' | 'fickle'

/** Answers, read at least in part, that make a new peer a steady one. */
export const provenBy = 8
/** Streams that any peer may give up, or not read. */
export const patience = 8
/** The share of all its streams that makes a peer one that often gives them up. */
const fickleShare = 1 / 8

/**
 * Counts what costs the peer little and us much (CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316 and their like).
 * Each method gives what the peer has overdone, or null; who hears of it closes the connection with ENHANCE_YOUR_CALM.
 */
export class AbuseBudget {
  private readonly limits: AbuseLimits
  private readonly now: () => number
  private streams = 0
  private read = 0
  private dataFramesSent = 0
  private outbound = 0
  private outboundControl = 0
  private emptyFrames = 0
  private priorityFrames = 0
  private windowUpdates = 0
  private resets = 0
  private resetTokens: number
  private resetSecond: number
  private second = 0
  private controlFrames = 0

  constructor(limits: AbuseLimits, now: () => number) {
    this.limits = limits
    this.now = now
    this.resetTokens = limits.resetBurst
    this.resetSecond = this.secondNow()
  }

  streamOpened(): void {
    this.streams++
  }

  /** The first bytes of an answer's body have left, or an answer without one. */
  answerRead(): void {
    this.read++
  }

  /** The peer reads: what was written before has left. */
  drained(): void {
    this.outbound = 0
    this.outboundControl = 0
  }

  dataSent(): void {
    this.dataFramesSent++
    this.outbound++
  }

  frameSent(): void {
    this.outbound++
  }

  /** A PING, SETTINGS or RST_STREAM frame is about to be written. */
  controlSent(): FloodEvent | null {
    this.outbound++
    this.outboundControl++
    if (this.outboundControl > this.limits.maxOutboundControlFrames) return 'outbound_control_flood'
    return this.outbound > this.limits.maxOutboundFrames ? 'outbound_flood' : null
  }

  /** HEADERS, CONTINUATION or DATA came. */
  payloadReceived(empty: boolean): FloodEvent | null {
    if (!empty) {
      this.emptyFrames = 0
      return null
    }
    return ++this.emptyFrames > this.limits.maxConsecutiveEmptyFrames ? 'inbound_empty_frames_flood' : null
  }

  priorityReceived(): FloodEvent | null {
    const allowed = this.limits.maxPriorityFramesPerStream * (1 + this.streams)
    return ++this.priorityFrames > allowed ? 'inbound_priority_frames_flood' : this.controlReceived()
  }

  windowUpdateReceived(): FloodEvent | null {
    const allowed = 5 + 2 * (this.streams + this.limits.maxWindowUpdatesPerDataFrame * this.dataFramesSent)
    return ++this.windowUpdates > allowed ? 'inbound_window_update_frames_flood' : null
  }

  /** PING, SETTINGS, or a frame of a type nobody knows. */
  controlReceived(): FloodEvent | null {
    const second = this.secondNow()
    if (second !== this.second) {
      this.second = second
      this.controlFrames = 0
    }
    return ++this.controlFrames > this.limits.maxControlFramesPerSecond ? 'inbound_control_frames_flood' : null
  }

  /** Whether the client may send a RST_STREAM now; as many as a second allows come back when one begins. */
  resetReceived(): boolean {
    const { resetBurst, resetsPerSecond } = this.limits
    if (resetBurst === Number.POSITIVE_INFINITY) return true
    const second = this.secondNow()
    this.resetTokens = Math.min(resetBurst, this.resetTokens + (second - this.resetSecond) * resetsPerSecond)
    this.resetSecond = second
    if (this.resetTokens < 1) return false
    this.resetTokens--
    return true
  }

  private secondNow(): number {
    return Math.floor(this.now() / 1000)
  }

  get standing(): PeerStanding {
    if (this.limits.prematureResetShare > 1) return 'steady'
    if (this.resets > patience && this.resets > this.streams * fickleShare) return 'fickle'
    return this.read < provenBy ? 'new' : 'steady'
  }

  /** The peer gave a stream up soon, before it was answered, or broke it so that we had to. */
  prematureReset(): FloodEvent | null {
    this.resets++
    const { prematureResetStreams, prematureResetShare } = this.limits
    return this.resets >= Math.max(this.streams, prematureResetStreams) * prematureResetShare ? 'premature_resets' : null
  }
}
