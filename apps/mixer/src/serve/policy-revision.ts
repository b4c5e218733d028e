import { randomUUID } from 'node:crypto'
import { Metadata } from '@grpc/grpc-js'
import type { Plan } from '../dispatch/plan.ts'

/** Metadata that names the configuration an answer was made by. */
const REVISION_METADATA = 'weft-policy-revision'

const byPlan = new WeakMap<Plan, Metadata>()

/**
 * Trailing metadata for answers made by a plan: another plan, another revision. Sidecars keep verdicts for a minute and more;
 * by this they notice with their next report, a second later, that what they keep may no longer hold.
 */
export function revisionMetadata(plan: Plan): Metadata {
  const known = byPlan.get(plan)
  if (known !== undefined) return known
  const metadata = new Metadata()
  metadata.set(REVISION_METADATA, randomUUID())
  byPlan.set(plan, metadata)
  return metadata
}
