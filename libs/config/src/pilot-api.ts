import type { Problem } from './problem.ts'

/**
 * The bodies of Pilot's HTTP API under `/v1` on its admin address, as its clients (`weft`, the console) read them.
 *
 * - `POST /v1/apply?dry_run=&wait=&timeout_s=`: YAML or JSON of objects, or ApplyRequest as `application/json`.
 *   400 with Refused when anything is wrong: then nothing was applied. 200 with ApplyResponse; with `wait=true` lines of
 *   JSON (`application/x-ndjson`), one ApplyEvent each, the last of type `done`.
 * - `GET /v1/config[/kind[/namespace[/name]]]`: ConfigList; 404 for one object that is not there.
 * - `DELETE /v1/config/kind/namespace/name[?wait=]`: as apply, without a body.
 * - `GET /v1/proxy-status`: ProxyStatusList. `GET /v1/status`: MeshStatus. `GET /v1/registry`: RegistryList.
 *
 * Writes carry `authorization: Bearer <operator token>` where Pilot has a token file.
 */
export interface ApplyRequest {
  files: { name: string; content: string }[]
}

export interface ApplyResult {
  /** `kind/namespace/name`. */
  object: string
  action: 'created' | 'configured' | 'unchanged' | 'deleted'
  /** Where it is kept now. */
  file: string
}

export interface ApplyResponse {
  dryRun: boolean
  /** Version of the snapshot that has it. */
  generation: number
  results: ApplyResult[]
  /** Warnings and notices. */
  problems: Problem[]
}

export interface Refused {
  error: string
  code: string
  problems?: Problem[]
}

export interface Nack {
  node: string
  /** `Listener`, `Cluster`, … */
  resourceType: string
  /** The resource's name; empty where the proxy named none. */
  resource: string
  /** The proxy's own words. */
  message: string
  /** What the resource was built from. */
  objects: { object: string; file: string; line: number }[]
}

export type ApplyEvent =
  | ({ type: 'applied' } & ApplyResponse)
  | { type: 'progress'; acked: number; total: number }
  | ({ type: 'nack' } & Nack)
  /** `waiting` are the nodes that had not answered when the time was over. */
  | { type: 'done'; acked: number; total: number; nacked: string[]; waiting: string[] }

export interface ConfigItem {
  object: string
  kind: string
  apiVersion: string
  namespace: string
  name: string
  file: string
  line: number
  /** The object as it was written. */
  value: Record<string, unknown>
}

export interface ConfigList {
  generation: number
  items: ConfigItem[]
}

export interface ProxyStatus {
  node: string
  namespace: string
  version: string
  connectedAt: string
  /** By resource type. `NOT SENT`: it asked, and there was nothing yet. */
  types: Record<string, { state: 'SYNCED' | 'STALE' | 'NOT SENT' | 'ERROR'; sent: number; acked: number; error?: string }>
  nacks: Nack[]
}

export interface ProxyStatusList {
  generation: number
  proxies: ProxyStatus[]
}

export interface MeshStatus {
  generation: number
  objects: number
  problems: Problem[]
  nacks: Nack[]
  registries: { name: string; synced: boolean; problem?: string }[]
}

export interface RegistryList {
  generation: number
  services: {
    host: string
    name: string
    namespace: string
    resolution: string
    ports: { name: string; number: number; protocol: string }[]
    endpoints: {
      address: string
      port: number
      servicePort: number
      workload: string
      health: string
      labels: Record<string, string>
    }[]
    origin: string
  }[]
}
