import { HeaderValueOption_HeaderAppendAction as Action, type HeaderValueOption } from '@weft/contracts/envoy/config/core/v3/base'
import { headerName, singleInRequests, singleInResponses } from '@weft/http/header-name'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import { addValue } from '../../../routing/header-edits.ts'
import { headerReader } from '../../../routing/matchers/header-matcher.ts'
import { isPseudo, setPseudo } from '../head-edit.ts'
import { isHeaderName } from './mutation-rules.ts'

/**
 * One header that the authorization service wants changed. `append` makes the first value that is there longer, and does nothing
 * where there is none.
 */
export interface HeaderChange {
  readonly name: string
  readonly value: string
  readonly how: 'set' | 'add' | 'append' | 'add-if-absent' | 'overwrite-if-exists'
}

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

/** What says where a message ends, and what follows it, is not the service's to change. */
const framing = new Set(['content-length', 'transfer-encoding', 'upgrade'])

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
    if (how === null || framing.has(name)) return []
    return [{ name, value: Buffer.from(option.header?.value ?? '').toString('latin1'), how }]
  })
}

function inOrder(list: readonly HeaderChange[], order: readonly HeaderChange['how'][]): HeaderChange[] {
  return [...list].sort((a, b) => order.indexOf(a.how) - order.indexOf(b.how))
}

/** Applies changes to a request, pseudo headers included. A name that can't be one is given back, and nothing is sent on then. */
export function changeRequest(head: RequestHead, list: readonly HeaderChange[]): string | null {
  for (const change of list) {
    const { name, value, how } = change
    if (isPseudo(name)) setPseudo(name, head, how === 'append' ? `${headerReader(name)(head) ?? ''},${value}` : value)
    else if (isHeaderName(name)) changeOne(head, change, singleInRequests.includes(headerName(name)))
    else return name
  }
  return null
}

/** Applies changes to an answer; pseudo headers, and names that can't be any, are left out. */
export function changeResponse(head: ResponseHead, list: readonly HeaderChange[]): void {
  for (const change of list) {
    if (isAnswerName(change.name)) changeOne(head, change, singleInResponses.includes(headerName(change.name)))
  }
}

/** Headers of an answer of the service's own take the place of those that are there; one that is given twice keeps both values. */
export function replaceHeaders(head: ResponseHead, list: readonly HeaderChange[]): void {
  for (const { name } of list) if (isAnswerName(name)) head.headers.remove(headerName(name))
  changeResponse(
    head,
    list.map((change) => ({ ...change, how: 'add' })),
  )
}

function isAnswerName(name: string): boolean {
  return !name.startsWith(':') && isHeaderName(name)
}

function changeOne({ headers }: RequestHead | ResponseHead, { name, value, how }: HeaderChange, joins: boolean): void {
  const header = headerName(name)
  const at = headers.find(header)
  switch (how) {
    case 'add':
      addValue(headers, header, value, joins)
      break
    case 'append':
      if (at >= 0 && value !== '') headers.setAt(at, `${headers.valueAt(at)}${name === 'cookie' ? '; ' : ','}${value}`)
      break
    case 'add-if-absent':
      if (at < 0) headers.append(header, value)
      break
    case 'overwrite-if-exists':
      if (at >= 0) headers.set(header, value)
      break
    case 'set':
      headers.set(header, value)
  }
}
