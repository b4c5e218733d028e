import type { ConnectionOptions } from 'node:tls'

/** Where an endpoint is checked. */
export interface ProbeTarget {
  /** An IP address and port, or a pipe's path. */
  address: { host: string; port: number } | { path: string }
  /** For the Host header and names: the endpoint's own, or the cluster's. */
  hostname: string
  /** Null: plaintext. */
  tls: ConnectionOptions | null
}

/**
 * What a check found: `unhealthy` is an answer that says so and counts at once, `failure` an answer that may pass (retriable),
 * `network` no answer.
 */
export type ProbeResult = 'healthy' | 'degraded' | 'unhealthy' | 'failure' | 'network'

/** One kind of check, made from its configuration; every probe ends within `timeoutMs`. */
export type Probe = (target: ProbeTarget, timeoutMs: number) => Promise<ProbeResult>
