import type { Deadline } from '@grpc/grpc-js'

/** A caller that sets no deadline, or a later one, gets this one. */
const MOST_MS = 5_000

/** Milliseconds that are left of a call's deadline. */
export function leftMs(deadline: Deadline): number {
  const atMs = deadline instanceof Date ? deadline.getTime() : deadline
  return Number.isFinite(atMs) ? Math.max(1, Math.min(atMs - Date.now(), MOST_MS)) : MOST_MS
}
