import type { Control } from '../control/control.ts'
import type { StatView } from './stat-view.ts'

/** What an endpoint may look at and act on. */
export interface AdminContext {
  control: Control
  stats: StatView
  /** Ends the process. */
  quit(): void
}

export interface AdminRequest {
  method: string
  query: URLSearchParams
  body: string
}

export interface AdminReply {
  /** 200 when undefined. */
  status?: number
  /** Content type; plain text when undefined. */
  type?: string
  body: string
  /** It stands in the statistics already. */
  counted?: boolean
}

/** One path of the admin API, with Envoy's path, shape and words. */
export interface AdminEndpoint {
  path: string
  /** Its head goes out before its body is made, and is counted by then. */
  streams?: boolean
  /** It changes something: only POST may. */
  post?: boolean
  help: string
  /** Parameters of the query, with their help. */
  parameters?: readonly (readonly [name: string, help: string])[]
  handle(context: AdminContext, request: AdminRequest): AdminReply | Promise<AdminReply>
}

/** JSON as Envoy prints it: one space a level. */
export function json(value: unknown): AdminReply {
  return { type: 'application/json', body: `${JSON.stringify(value, undefined, 1)}\n` }
}

/** Plain text; one line gets its end. */
export function text(body: string, status = 200): AdminReply {
  return { status, body }
}
