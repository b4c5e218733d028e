import { beginsWithPreface } from '@weft/http/h2/frame'
import type { TlsInfo } from '../../../transport/connection-info.ts'
import { isHttp2Alpn } from '../../../transport/mesh-alpn.ts'
import type { CodecType } from './hcm-plan.ts'

/** The HTTP of a downstream connection: its codec and the exchanges on it. */
export interface DownstreamProtocol {
  readonly name: 'http1' | 'http2'
  /** No request is under way. */
  readonly isIdle: boolean
  /** Not all that was read has been dealt with. */
  readonly isBehind: boolean
  /** Exchanges that are not over. */
  readonly activeExchanges: number
  receive(bytes: Buffer, start: number, end: number): void
  /** The peer sends no more. True: keep the connection, it goes on in one direction. */
  receiveEnd(): boolean
  writable(): void
  /** Has the client open no new requests where the protocol can say so. */
  drain(): void
  /** The connection is gone. */
  lost(detail: string): void
}

/**
 * Which HTTP a connection speaks: what the configuration says, else what TLS agreed on, else what the first bytes say
 * (HTTP/2 by prior knowledge). `more`: they don't say yet.
 */
export function protocolOf(
  codec: CodecType,
  tls: TlsInfo | null,
  bytes: Buffer,
  start: number,
  end: number,
): 'http1' | 'http2' | 'more' {
  if (codec !== 'auto') return codec
  if (isHttp2Alpn(tls?.alpn ?? null)) return 'http2'
  if (tls?.alpn.startsWith('http/1') === true) return 'http1'
  switch (beginsWithPreface(bytes, start, end)) {
    case 'yes':
      return 'http2'
    case 'no':
      return 'http1'
    case 'more':
      return 'more'
  }
}
