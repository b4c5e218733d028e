import type { EndpointAddress } from './endpoint-address.ts'

/** What an endpoint is, for those who send nothing to it: logs, and what chooses among endpoints. */
export interface UpstreamHost {
  /** `host:port`, `[v6]:port` or the pipe's path. */
  readonly key: string
  readonly address: EndpointAddress
  /** Empty: it has none. */
  readonly hostname: string
  readonly metadata: Readonly<Record<string, unknown>>
  readonly priority: number
  /** It is one of the few that try a new version. */
  readonly isCanary: boolean
}
