import type { Bag } from '@weft/attributes/bag'
import { WeftError } from '@weft/service/errors'
import { allow, deny, type Verdict } from '../adapter.ts'
import { guarded, HandlerFailure, LazyCall, type LiveHandler } from './handler.ts'
import { matches } from './match.ts'
import type { DispatchMetrics } from './metrics.ts'
import type { Action, CheckAnswer, CheckHandle, CheckRule, HeaderOperation, Plan, PlannedInstance } from './plan.ts'
import { addVerdict, type Outcome, passed, standIn } from './verdict.ts'

/** A header to edit, with its value for this request. */
export interface HeaderEdit {
  name: string
  operation: HeaderOperation['operation']
  value: string
}

export interface CheckOutcome extends Outcome {
  requestHeaders: readonly HeaderEdit[]
  responseHeaders: readonly HeaderEdit[]
}

interface Pending {
  by: string
  verdict: Verdict | Promise<Verdict>
}

const NO_EDITS: readonly HeaderEdit[] = []

/**
 * Asks all check handlers whose rules match. Gives the outcome at once when all of them answer at once: most do, and a
 * promise would cost as much as they.
 */
export function check(plan: Plan, bag: Bag, deadlineMs: number, metrics: DispatchMetrics): CheckOutcome | Promise<CheckOutcome> {
  const pending: Pending[] = []
  let editing: CheckRule[] | undefined
  let later = false
  for (const rule of plan.check.candidates(bag)) {
    if (!matches(rule, bag, metrics)) continue
    for (const action of rule.actions) {
      for (const instance of action.instances) {
        const verdict = ask(action, instance, bag, deadlineMs, metrics)
        later ||= verdict instanceof Promise
        pending.push({ by: `${rule.name}/${action.handler.name}`, verdict })
      }
    }
    if (rule.requestHeaders.length > 0 || rule.responseHeaders.length > 0) {
      editing ??= []
      editing.push(rule)
    }
  }
  const edits = {
    requestHeaders:
      editing === undefined
        ? NO_EDITS
        : editsOf(
            editing.flatMap((rule) => rule.requestHeaders),
            bag,
          ),
    responseHeaders:
      editing === undefined
        ? NO_EDITS
        : editsOf(
            editing.flatMap((rule) => rule.responseHeaders),
            bag,
          ),
  }
  if (later) return combineLater(pending, edits)
  const outcome = passed()
  for (const { by, verdict } of pending) if (!(verdict instanceof Promise)) addVerdict(outcome, verdict, by)
  return withEdits(outcome, edits)
}

async function combineLater(pending: readonly Pending[], edits: Edits): Promise<CheckOutcome> {
  const outcome = passed()
  for (const { by, verdict } of pending) addVerdict(outcome, await verdict, by)
  return withEdits(outcome, edits)
}

type Edits = Pick<CheckOutcome, 'requestHeaders' | 'responseHeaders'>

/** A request that is denied goes nowhere, so there is nothing of it to edit. */
function withEdits(outcome: Outcome, edits: Edits): CheckOutcome {
  const { requestHeaders, responseHeaders } = outcome.code === 0 ? edits : { requestHeaders: NO_EDITS, responseHeaders: NO_EDITS }
  return { ...outcome, requestHeaders, responseHeaders }
}

function editsOf(operations: readonly HeaderOperation[], bag: Bag): HeaderEdit[] {
  const edits: HeaderEdit[] = []
  for (const operation of operations) {
    const value = operation.value(bag)
    if (value !== undefined) edits.push({ name: operation.name, operation: operation.operation, value })
  }
  return edits
}

function ask(
  action: Action<CheckHandle>,
  planned: PlannedInstance,
  bag: Bag,
  deadlineMs: number,
  metrics: DispatchMetrics,
): Verdict | Promise<Verdict> {
  const { handler, handle } = action
  let instance: ReturnType<PlannedInstance['build']>
  try {
    instance = planned.build(bag)
  } catch (thrown) {
    metrics.instanceFailed(planned.name, WeftError.from(thrown))
    return standIn(handler.onError)
  }
  const answer = guarded(handler, metrics, deadlineMs, new LazyCall(), (call) => handle(instance, call))
  return answer instanceof Promise ? answer.then((later) => settled(later, handler, metrics)) : settled(answer, handler, metrics)
}

function settled(answer: CheckAnswer | HandlerFailure, handler: LiveHandler, metrics: DispatchMetrics): Verdict {
  if (answer instanceof HandlerFailure) return standIn(handler.onError)
  const verdict = verdictOf(answer)
  if (verdict !== undefined) return verdict
  metrics.handlerFailed(
    handler,
    new WeftError('internal', 'its answer is no verdict', { hint: 'return true, false, allow() or deny(message)' }),
  )
  return standIn(handler.onError)
}

const ALLOWED = allow()
const REFUSED = deny('denied')

/** The verdict that an answer is; undefined for one that is none, as adapters in JavaScript may give. */
function verdictOf(answer: CheckAnswer): Verdict | undefined {
  if (answer === undefined || answer === true) return ALLOWED
  if (answer === false) return REFUSED
  return typeof answer === 'object' && answer !== null && Number.isInteger(answer.code) ? answer : undefined
}
