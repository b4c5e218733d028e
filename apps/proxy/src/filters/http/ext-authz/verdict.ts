import { HeaderValueOption_HeaderAppendAction as Action, type HeaderValueOption } from '@weft/contracts/envoy/config/core/v3/base'
import type { HeaderChange } from '../header-changes.ts'

/** What the authorization service says of a request. */
export type Verdict =
  | {
      type: 'ok'
      request: readonly HeaderChange[]
      remove: readonly string[]
      response: readonly HeaderChange[]
      setParameters: readonly { key: string; value: string }[]
      removeParameters: readonly string[]
      metadata: Readonly<Record<string, unknown>> | null
      /** A header is to be changed in a way that nobody knows. */
      unknownAction: boolean
    }
  | {
      type: 'denied'
      status: number
      headers: readonly HeaderChange[]
      body: Buffer
      metadata: Readonly<Record<string, unknown>> | null
    }
  | {
      type: 'error'
      reason: string
      metadata?: Readonly<Record<string, unknown>> | null
      /** What the service wants the client to be told; absent: what the filter's configuration says. */
      answer?: { status: number; headers: readonly HeaderChange[]; body: Buffer }
    }

/** Changes of a request: all that replace before those that append. `append_action` does not count. */
export function requestChanges(options: readonly HeaderValueOption[]): HeaderChange[] {
  return inOrder(
    changes(options, ({ append }) => (append === true ? 'append' : 'set')),
    ['set', 'append'],
  )
}

/** Changes of the answer that comes from upstream: those that add first. An action that is not known changes nothing. */
export function responseChanges(options: readonly HeaderValueOption[]): HeaderChange[] {
  return inOrder(changes(options, responseAction), ['add', 'set', 'add-if-absent', 'overwrite-if-exists'])
}

/** Headers of an answer of the service's own; those with `append` are left out. */
export function answerChanges(options: readonly HeaderValueOption[]): HeaderChange[] {
  return changes(options, ({ append }) => (append === true ? null : 'set'))
}

export function hasUnknownAction(options: readonly HeaderValueOption[]): boolean {
  return options.some((option) => responseAction(option) === null)
}

function responseAction({ append, appendAction }: HeaderValueOption): HeaderChange['how'] | null {
  if (append !== undefined) return append ? 'add' : 'set'
  switch (appendAction) {
    case Action.APPEND_IF_EXISTS_OR_ADD:
      return 'add'
    case Action.ADD_IF_ABSENT:
      return 'add-if-absent'
    case Action.OVERWRITE_IF_EXISTS_OR_ADD:
      return 'set'
    case Action.OVERWRITE_IF_EXISTS:
      return 'overwrite-if-exists'
    default:
      return null
  }
}

/** `raw_value` does not count, as in Envoy. */
function changes(
  options: readonly HeaderValueOption[],
  howOf: (option: HeaderValueOption) => HeaderChange['how'] | null,
): HeaderChange[] {
  return options.flatMap((option) => {
    const how = howOf(option)
    const name = (option.header?.key ?? '').toLowerCase()
    if (how === null) return []
    return [{ name, value: Buffer.from(option.header?.value ?? '').toString('latin1'), how }]
  })
}

function inOrder(list: readonly HeaderChange[], order: readonly HeaderChange['how'][]): HeaderChange[] {
  return [...list].sort((a, b) => order.indexOf(a.how) - order.indexOf(b.how))
}
