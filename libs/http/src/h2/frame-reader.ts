import { defaultMaxFrameSize, flag, frameHeaderSize, frameType } from './frame.ts'

/** How long somebody may go on; asked at first, and between frames when so many bytes more are taken (looking at a clock costs). */
export interface Deadline {
  isOver(): boolean
}

const bytesALook = 256

/** Who is told of frames. Ranges are valid during the call. */
export interface FrameHandler {
  /** A frame, whole. */
  onFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void
  /** DATA begins: `length` bytes of payload, of which `dataLength` are content; pieces follow. */
  onDataFrame(flags: number, streamId: number, length: number, dataLength: number): void
  /** A piece of the DATA frame's content; `last`: there is no more. Called at least once a frame. */
  onDataPiece(bytes: Buffer, start: number, end: number, last: boolean): void
  /** The bytes are no frame that may be: nothing is read any more. */
  onFrameSizeError(detail: string): void
  /** Padding as long as the frame or longer. */
  onPaddingError(): void
}

/**
 * Takes bytes apart into frames (RFC 9113 section 4.1). DATA goes on in the pieces it comes in; other frames are handed over
 * where they stand, or collected when they come in parts (at most one frame of the largest size we allow).
 */
export class FrameReader {
  private readonly handler: FrameHandler
  private kept: Buffer = Buffer.alloc(0)
  private keptLength = 0
  /** Content and padding of the DATA frame under way that are still to come. */
  private dataLeft = 0
  private padLeft = 0
  private stopped = false

  constructor(handler: FrameHandler) {
    this.handler = handler
  }

  /** Ignores everything from here on. */
  stop(): void {
    this.stopped = true
    this.kept = Buffer.alloc(0)
    this.keptLength = 0
  }

  /** Whether the bytes so far end with a frame. */
  get isBetweenFrames(): boolean {
    return this.keptLength === 0 && this.dataLeft === 0 && this.padLeft === 0
  }

  /**
   * Takes what it can of the range, and gives the position behind that: at `deadline`'s end it leaves the rest for another
   * time.
   */
  read(bytes: Buffer, start: number, end: number, deadline: Deadline | null = null): number {
    let at = start
    let lookAt = start
    while (at < end && !this.stopped) {
      if (deadline !== null && at >= lookAt) {
        if (deadline.isOver()) return at
        lookAt = at + bytesALook
      }
      if (this.dataLeft > 0) {
        const take = Math.min(this.dataLeft, end - at)
        this.dataLeft -= take
        at += take
        this.handler.onDataPiece(bytes, at - take, at, this.dataLeft === 0)
      } else if (this.padLeft > 0) {
        const take = Math.min(this.padLeft, end - at)
        this.padLeft -= take
        at += take
      } else if (this.keptLength > 0) at = this.complete(bytes, at, end)
      else at = this.frame(bytes, at, end)
    }
    return end
  }

  /** A frame that begins at `at`: handled where it stands when it is whole. Gives the position behind what was used. */
  private frame(bytes: Buffer, at: number, end: number): number {
    if (end - at < frameHeaderSize) return this.keep(bytes, at, end)
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    if (length > defaultMaxFrameSize) {
      this.handler.onFrameSizeError('frame larger than SETTINGS_MAX_FRAME_SIZE')
      return end
    }
    const type = bytes[at + 3]!
    if (type === frameType.data) {
      const padded = (bytes[at + 4]! & flag.padded) !== 0
      const head = frameHeaderSize + (padded && length > 0 ? 1 : 0)
      if (end - at < head) return this.keep(bytes, at, end)
      this.beginData(bytes, at, length, padded)
      return at + head
    }
    const behind = at + frameHeaderSize + length
    if (behind > end) return this.keep(bytes, at, end)
    this.handler.onFrame(type, bytes[at + 4]!, streamIdAt(bytes, at + 5), bytes, at + frameHeaderSize, behind)
    return behind
  }

  private beginData(bytes: Buffer, at: number, length: number, padded: boolean): void {
    const flags = bytes[at + 4]!
    let padding = 0
    let dataLength = length
    if (padded) {
      if (length === 0) {
        this.handler.onFrameSizeError('padded DATA frame without padding length')
        return
      }
      padding = bytes[at + frameHeaderSize]!
      dataLength = length - 1 - padding
      if (dataLength < 0) {
        this.handler.onPaddingError()
        return
      }
    }
    this.dataLeft = dataLength
    this.padLeft = padding
    this.handler.onDataFrame(flags, streamIdAt(bytes, at + 5), length, dataLength)
    if (dataLength === 0 && !this.stopped) this.handler.onDataPiece(bytes, at, at, true)
  }

  private keep(bytes: Buffer, at: number, end: number): number {
    const length = end - at
    if (this.kept.length < length) this.kept = Buffer.allocUnsafeSlow(Math.max(length, 256))
    bytes.copy(this.kept, 0, at, end)
    this.keptLength = length
    return end
  }

  /** Goes on with a frame of which some bytes are kept. */
  private complete(bytes: Buffer, at: number, end: number): number {
    const needed = this.needed()
    const take = Math.min(needed - this.keptLength, end - at)
    if (this.kept.length < needed) {
      const grown = Buffer.allocUnsafeSlow(needed)
      this.kept.copy(grown, 0, 0, this.keptLength)
      this.kept = grown
    }
    bytes.copy(this.kept, this.keptLength, at, at + take)
    this.keptLength += take
    if (this.keptLength < needed) return end
    // The header may have become whole just now, and say that there is more to wait for.
    if (this.needed() > this.keptLength) return at + take
    const length = this.keptLength
    this.keptLength = 0
    this.frame(this.kept, 0, length)
    return at + take
  }

  /** How many bytes have to be kept before the next step. */
  private needed(): number {
    const { kept, keptLength } = this
    if (keptLength < frameHeaderSize) return frameHeaderSize
    const length = (kept[0]! << 16) | (kept[1]! << 8) | kept[2]!
    if (length > defaultMaxFrameSize) return frameHeaderSize
    if (kept[3] === frameType.data) return frameHeaderSize + ((kept[4]! & flag.padded) !== 0 && length > 0 ? 1 : 0)
    return frameHeaderSize + length
  }
}

function streamIdAt(bytes: Buffer, at: number): number {
  return ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}
