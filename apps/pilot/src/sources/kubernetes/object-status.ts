import { isDeepStrictEqual } from 'node:util'
import { isRecord } from '@weft/config/document'
import type { Problem } from '@weft/config/problem'
import { describeWhere } from '@weft/service/errors'

/** What became of one generation of an object. */
export interface Verdict {
  generation: number
  /** What reading it found. */
  problems: readonly Problem[]
  /** How many proxies have it, of how many; undefined for what proxies have nothing to do with, or that was refused. */
  proxies: { settled: number; total: number } | undefined
  /** What proxies said that refused it. */
  refusals: readonly string[]
}

const conditionType = 'Reconciled'
const maxMessages = 20
const levels = { error: 'ERROR', warning: 'WARNING', notice: 'INFO' } as const

/**
 * An object's status with the verdict in it, in Istio's form (`conditions` with Reconciled, `validationMessages`,
 * `observedGeneration`); conditions of others stay. Undefined when there is nothing new to say.
 */
export function statusWith(
  before: Readonly<Record<string, unknown>>,
  verdict: Verdict,
  now: Date,
): Record<string, unknown> | undefined {
  const given: unknown[] = Array.isArray(before['conditions']) ? before['conditions'] : []
  const own = given.find((condition) => isRecord(condition) && condition['type'] === conditionType)
  const said = reconciled(verdict)
  const known = isRecord(own) ? own : {}
  const messages = verdict.problems.slice(0, maxMessages).map(messageOf)
  const same =
    Object.entries(said).every(([field, value]) => withoutCount(known[field]) === withoutCount(value)) &&
    isDeepStrictEqual(before['validationMessages'] ?? [], messages) &&
    before['observedGeneration'] === verdict.generation
  if (same) return undefined
  const turned = known['status'] !== said.status
  const lastTransitionTime = turned ? `${now.toISOString().slice(0, -5)}Z` : known['lastTransitionTime']
  return {
    observedGeneration: verdict.generation,
    conditions: [...given.filter((condition) => condition !== own), { ...said, lastTransitionTime }],
    // An empty list would stay in a merge patch as the old one does.
    validationMessages: messages.length === 0 ? null : messages,
  }
}

/** How many proxies there are is news only with a change of the object, or of what became of it. */
function withoutCount(value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/^\d+\/\d+ proxies/, 'proxies') : value
}

function reconciled({ generation, problems, proxies, refusals }: Verdict) {
  const common = { type: conditionType, observedGeneration: generation }
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) {
    const message = `refused, the last good version stays in force: ${errors.map(describe).join('; ')}`
    return { ...common, status: 'False', reason: 'Invalid', message: message.slice(0, 2_000) }
  }
  const [refusal] = refusals
  if (refusal !== undefined) {
    const message = `${refusals.length} proxies refused it: ${refusal}`
    return { ...common, status: 'False', reason: 'Rejected', message: message.slice(0, 2_000) }
  }
  const message = proxies === undefined ? 'in force' : `${proxies.settled}/${proxies.total} proxies up to date`
  return { ...common, status: 'True', reason: 'Accepted', message }
}

function describe({ path, message, hint }: Problem): string {
  const where = describeWhere(path === undefined ? undefined : { path })
  return `${where === '' ? '' : `${where}: `}${message}${hint === undefined ? '' : ` (${hint})`}`
}

function messageOf(problem: Problem): object {
  return {
    level: levels[problem.severity],
    type: { code: 'IST0106', name: 'SchemaValidationError' },
    documentationUrl: 'https://istio.io/latest/docs/reference/config/analysis/ist0106/',
    message: describe(problem),
  }
}
