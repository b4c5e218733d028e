import { errorCode } from './error-code.ts'
import { flag, readUint32 } from './frame.ts'
import { giveBuffer, takeBuffer } from './spare-buffers.ts'

/** Compressed, a block is not much larger than its lines. */
const slack = 16 * 1024

/**
 * The header block of one HEADERS frame and its CONTINUATIONs (RFC 9113 section 4.3). A block in one frame is decoded where
 * it stands; one of several is collected here, up to a limit.
 */
export class HeaderBlock {
  streamId = 0
  endStream = false
  /** The frame's priority names its own stream. */
  dependsOnItself = false
  /** A CONTINUATION has to follow. */
  isOpen = false
  /** The fragment in the HEADERS frame, without padding and priority. */
  fragmentStart = 0
  fragmentEnd = 0
  buffer: Buffer = none
  length = 0
  private readonly maxBytes: number
  private readonly maxContinuations: number
  private continuations = 0

  constructor(maxHeadBytes: number, maxContinuations: number) {
    this.maxBytes = maxHeadBytes + slack
    this.maxContinuations = maxContinuations
  }

  /** Takes a HEADERS frame; gives the error code for one that is too short for what it should hold, or 0. */
  begin(flags: number, streamId: number, bytes: Buffer, start: number, end: number): number {
    this.streamId = streamId
    this.endStream = (flags & flag.endStream) !== 0
    this.dependsOnItself = false
    this.isOpen = true
    this.length = 0
    this.continuations = 0
    let at = start
    let padding = 0
    if ((flags & flag.padded) !== 0) {
      if (at >= end) return errorCode.frameSizeError
      padding = bytes[at++]!
    }
    if ((flags & flag.priority) !== 0) {
      if (at + 5 > end) return errorCode.frameSizeError
      this.dependsOnItself = (readUint32(bytes, at) & 0x7fffffff) === streamId
      at += 5
    }
    if (at + padding > end) return errorCode.protocolError
    this.fragmentStart = at
    this.fragmentEnd = end - padding
    return errorCode.noError
  }

  /** One more CONTINUATION; false: too many. */
  continued(): boolean {
    return ++this.continuations <= this.maxContinuations
  }

  /** Keeps a fragment; false: the block is too large. */
  collect(bytes: Buffer, start: number, end: number): boolean {
    const length = this.length + end - start
    if (length > this.maxBytes) return false
    if (length > this.buffer.length) {
      const grown = takeBuffer(length)
      this.buffer.copy(grown, 0, 0, this.length)
      giveBuffer(this.buffer)
      this.buffer = grown
    }
    bytes.copy(this.buffer, this.length, start, end)
    this.length = length
    return true
  }

  /** The block has been decoded, or nobody wants it: its bytes are no more of use. */
  release(): void {
    giveBuffer(this.buffer)
    this.buffer = none
    this.length = 0
  }
}

const none = Buffer.alloc(0)
