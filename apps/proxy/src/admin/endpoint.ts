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
  /** What was sent as a form (`application/x-www-form-urlencoded`), as it came; otherwise empty. */
  body: string
}

export interface AdminReply {
  /** 200 when undefined. */
  status?: number
  /** Content type; plain text when undefined. */
  type?: string
  /** A function: made when the answer's status has been counted, as where the statistics tell of the request that asks for them. */
  body: string | (() => string)
}

/** One path of the admin API, with Envoy's path, shape and words. */
export interface AdminEndpoint {
  path: string
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
