import type { ConnectionOptions } from 'node:tls'

/** TLS towards a cluster's endpoints, from files or SDS. */
export interface UpstreamTls {
  /** The application protocols it names. */
  readonly alpn: readonly string[]
  /** Options for `tls.connect`; 'not-ready' until the secrets have come. `hostname`: the endpoint's; `requestName`: the request's host. */
  connectOptions(hostname: string, requestName: string): ConnectionOptions | 'not-ready'
  close(): void
}
