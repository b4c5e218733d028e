import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'

/** Why a request is traced. */
export type TraceReason = 'none' | 'sampled' | 'client' | 'forced'

/** Draws of the shares that are configured; a route may have its own. */
export interface Sampling {
  client(): boolean
  random(): boolean
  overall(): boolean
}

const clientTraceId = headerName('x-client-trace-id')
const forceTrace = headerName('x-envoy-force-trace')

/** The digit of a request id (a UUID of version 4) that says so to the next proxy; 4 is that version's own. */
const digits: Readonly<Record<TraceReason, string>> = { none: '4', sampled: '9', forced: 'a', client: 'b' }
const place = 14
const idLength = 36

/** What a request id says. */
export function reasonOf(requestId: string | null): TraceReason {
  if (requestId === null || requestId.length !== idLength) return 'none'
  const digit = requestId[place]
  return digit === digits.sampled ? 'sampled' : digit === digits.forced ? 'forced' : digit === digits.client ? 'client' : 'none'
}

/** Decides whether a request is traced, and writes it into its id unless `packs` is off. What was decided before stays. */
export function decideTrace(headers: HeaderTable, sampling: Sampling, packs: boolean): TraceReason {
  const id = headers.get(names.requestId)
  const before = reasonOf(id)
  if (before !== 'none') return before
  let reason: TraceReason = 'none'
  if (headers.has(clientTraceId) && sampling.client()) reason = 'client'
  else if (headers.has(forceTrace)) reason = 'forced'
  else if (sampling.random()) reason = 'sampled'
  if (reason !== 'none' && !sampling.overall()) reason = 'none'
  if (packs && id !== null && id.length === idLength && id[place] !== digits[reason])
    headers.set(names.requestId, id.slice(0, place) + digits[reason] + id.slice(place + 1))
  return reason
}
