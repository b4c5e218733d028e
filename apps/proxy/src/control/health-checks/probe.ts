import type { ConnectionOptions } from 'node:tls'

/** Where an endpoint is checked. */
export interface ProbeTarget {
  /** An IP address and port, or a pipe's path. */
  address: { host: string; port: number } | { path: string }
  /** For the Host header: what the endpoint's own health check configuration says; empty: nothing. */
  hostname: string
  /** Null: plaintext. */
  tls: ConnectionOptions | null
}

/**
 * What a check found: `unhealthy` is an answer that says so and counts at once, `excluded` one that also asks not to be
 * counted at all, `failure` an answer that may pass (retriable), `network` no answer, `timeout` none in time.
 */
export type ProbeResult = 'healthy' | 'degraded' | 'unhealthy' | 'excluded' | 'failure' | 'network' | 'timeout'

/** One kind of check of one endpoint, made from its configuration; every probe ends within `timeoutMs`. */
export interface Probe {
  check(target: ProbeTarget, timeoutMs: number): Promise<ProbeResult>
  /** Ends connections that are kept between checks. */
  close(): void
}
