import { errorCode } from './error-code.ts'
import { defaultMaxFrameSize, defaultWindow, maxWindow, readUint32 } from './frame.ts'

/** Identifiers of SETTINGS (RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1). */
export const settingId = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
  noRfc7540Priorities: 9,
} as const

/** What the peer has said. */
export class PeerSettings {
  headerTableSize = 4096
  maxConcurrentStreams = Number.POSITIVE_INFINITY
  initialWindowSize = defaultWindow
  maxFrameSize = defaultMaxFrameSize
  maxHeaderListSize = Number.POSITIVE_INFINITY
  enableConnectProtocol = false

  /**
   * Takes a SETTINGS payload in; gives the error code for a value that must not be, or 0. Of several values of one setting
   * the last counts.
   */
  apply(bytes: Uint8Array, start: number, end: number, fromServer: boolean): number {
    for (let at = start; at < end; at += 6) {
      const id = (bytes[at]! << 8) | bytes[at + 1]!
      const value = readUint32(bytes, at + 2)
      switch (id) {
        case settingId.headerTableSize:
          this.headerTableSize = value
          break
        case settingId.enablePush:
          if (value > 1 || (fromServer && value === 1)) return errorCode.protocolError
          break
        case settingId.maxConcurrentStreams:
          this.maxConcurrentStreams = value
          break
        case settingId.initialWindowSize:
          if (value > maxWindow) return errorCode.flowControlError
          this.initialWindowSize = value
          break
        case settingId.maxFrameSize:
          if (value < defaultMaxFrameSize || value > 0xffffff) return errorCode.protocolError
          this.maxFrameSize = value
          break
        case settingId.maxHeaderListSize:
          this.maxHeaderListSize = value
          break
        case settingId.enableConnectProtocol:
          // Once given it can't be taken back (RFC 8441 section 3).
          if (value > 1 || (value === 0 && this.enableConnectProtocol)) return errorCode.protocolError
          this.enableConnectProtocol = value === 1
          break
        case settingId.noRfc7540Priorities:
          if (value > 1) return errorCode.protocolError
          break
      }
    }
    return errorCode.noError
  }
}
