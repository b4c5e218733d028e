import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'

/** Why a request is traced. */
export type TraceReason = 'none' | 'sampled' | 'client' | 'forced'

/** Draws of the shares that are configured; a route may have its own. `draw` (0 ≤ x < 1) is the request id's. */
export interface Sampling {
  client(): boolean
  random(draw: number): boolean
  overall(draw: number): boolean
}

/** What a connection manager does with request ids: whether they decide what is traced, and whether they tell it on. */
export interface RequestIdUse {
  samples: boolean
  packs: boolean
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

/** A number that a request id says by its first eight digits; null: it says none. */
export function requestIdNumber(requestId: string | null): number | null {
  const start = requestId?.slice(0, 8) ?? ''
  return /^[0-9a-f]{8}$/i.test(start) ? Number.parseInt(start, 16) : null
}

/** Decides whether a request is traced, and writes it into its id. Proxies that see the same id decide alike; what was decided before stays. */
export function decideTrace(headers: HeaderTable, sampling: Sampling, { samples, packs }: RequestIdUse): TraceReason {
  if (!samples) return 'sampled'
  const id = headers.get(names.requestId)
  const number = requestIdNumber(id)
  if (number === null) return 'none'
  const draw = (number % 10_000) / 10_000
  let reason = packs ? reasonOf(id) : 'none'
  if (reason === 'none') {
    if (headers.has(clientTraceId) && sampling.client()) reason = 'client'
    else if (headers.has(forceTrace)) reason = 'forced'
    else if (sampling.random(draw)) reason = 'sampled'
    else return 'none'
  }
  if (!sampling.overall(draw)) reason = 'none'
  if (packs) tellReason(headers, reason)
  return reason
}

/** Writes a reason into the request id, where that is a UUID. */
export function tellReason(headers: HeaderTable, reason: TraceReason): void {
  const id = headers.get(names.requestId)
  if (id?.length === idLength && id[place] !== digits[reason])
    headers.set(names.requestId, id.slice(0, place) + digits[reason] + id.slice(place + 1))
}
