import { statusCodes, type Verdict } from '../adapter.ts'
import type { OnError } from './handler.ts'

/** What holds where no handler says otherwise. */
const DEFAULT_VALID_MS = 60_000
const DEFAULT_USE_COUNT = 10_000

/** An answer that stands in for a failed handler is asked for again soon. */
const STANDIN_VALIDITY = { validDurationMs: 1_000, validUseCount: 100 }

/** A verdict, all told. */
export interface Outcome {
  code: number
  message: string
  validDurationMs: number
  validUseCount: number
  directResponse: { code: number; body?: string } | undefined
}

/** The outcome of a request that no rule had anything to say of. */
export function passed(): Outcome {
  return { code: 0, message: '', validDurationMs: DEFAULT_VALID_MS, validUseCount: DEFAULT_USE_COUNT, directResponse: undefined }
}

/**
 * Adds a verdict: validities combine by minimum; the first denial gives code and direct response, and all denials
 * their messages. `by` is `rule/handler`, so that who is denied can tell by whom.
 */
export function addVerdict(outcome: Outcome, verdict: Verdict, by: string): void {
  outcome.validDurationMs = Math.min(outcome.validDurationMs, verdict.validDurationMs ?? DEFAULT_VALID_MS)
  outcome.validUseCount = Math.min(outcome.validUseCount, verdict.validUseCount ?? DEFAULT_USE_COUNT)
  if (verdict.code === statusCodes.OK) return
  const message = `${by}: ${verdict.message === '' ? 'denied' : verdict.message}`
  if (outcome.code === statusCodes.OK) {
    outcome.code = verdict.code
    outcome.message = message
    outcome.directResponse = verdict.directResponse
  } else {
    outcome.message += `, ${message}`
  }
}

/** What takes the place of a verdict that a handler failed to give. */
export function standIn(onError: OnError): Verdict {
  return onError === 'allow'
    ? { code: statusCodes.OK, message: '', ...STANDIN_VALIDITY }
    : { code: statusCodes.UNAVAILABLE, message: 'the handler failed, and is set to deny then', ...STANDIN_VALIDITY }
}
