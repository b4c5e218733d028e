import type { ConnectionInfo } from '../transport/connection-info.ts'

/** What is known of a request as it goes; read by filters, access log and tracing. */
export interface StreamInfo {
  /** The request is a health check, which counts and logs apart. */
  isHealthCheck: boolean
  /** Wall clock, ms. */
  readonly startTimeMs: number
  /** Time since start, ms (fractions too). */
  elapsedMs(): number
  /** Response flags by Envoy's short names: `UF`, `NR`. */
  readonly responseFlags: readonly string[]
  addResponseFlag(flag: string): void
  readonly responseCodeDetails: string
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly requestId: string
  /** The address after X-Forwarded-For was weighed. */
  readonly downstreamRemoteAddress: string
  readonly upstreamHost: {
    readonly address: string
    readonly cluster: string
    readonly metadata: Readonly<Record<string, unknown>>
  } | null
  /** Of the upstream connection; null before there is one. */
  readonly upstreamConnection: ConnectionInfo | null
  readonly attemptCount: number
  /** The endpoint that a filter wants the first try to go to. */
  hostWish: HostWish | null
}

/** An endpoint that is wanted in place of the load balancer's choice, as far as its health allows. */
export interface HostWish {
  /** `ip:port`. */
  readonly address: string
  /** No other will do. */
  readonly strict: boolean
  /** What is answered where a strict wish can't be fulfilled. */
  readonly missingStatus: number
}
