import type { ConnectionInfo } from '../../../transport/connection-info.ts'

/** The far side of a TCP session: a connection of its own, or a tunnel through HTTP. */
export interface SessionUpstream {
  /** What is known of the connection below it, once it stands. */
  readonly info: ConnectionInfo
  /** Bytes written that have not left. */
  readonly buffered: number
  /** False: stop until `onWritable`. */
  write(bytes: Buffer, start: number, end: number): boolean
  /** No more is written; reading goes on. */
  endWriting(): void
  pause(): void
  resume(): void
  /** Ends when what was written has left. */
  closeWhenFlushed(): void
  /** Ends now, and tells the endpoint so. */
  resetNow(): void
}

/** What a session hears of its far side. */
export interface SessionUpstreamEvents {
  /** It stands: bytes may be written. */
  onConnected(): void
  /** Bytes are valid during the call. */
  onBytes(bytes: Buffer, start: number, end: number): void
  /** It sends no more. */
  onEnd(): void
  onWritable(): void
  /** It is gone, or never came to be: then why, as Envoy words it. `reset`: the peer ended it by RST. Nothing follows. */
  onClose(failure: string, reset?: boolean): void
}
