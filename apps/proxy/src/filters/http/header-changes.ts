import { headerName, singleInRequests, singleInResponses } from '@weft/http/header-name'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import { addValue } from '../../routing/header-edits.ts'
import { headerReader, isPseudo } from '../../routing/matchers/header-matcher.ts'
import type { HttpStream } from './filter.ts'
import { setPseudo } from './head-edit.ts'

/**
 * One header that a service wants changed. `append` makes the first value that is there longer, and does nothing
 * where there is none.
 */
export interface HeaderChange {
  readonly name: string
  readonly value: string
  readonly how: 'set' | 'add' | 'append' | 'add-if-absent' | 'overwrite-if-exists'
}

/** What says where a message ends, and what follows it, is not a service's to change. */
const framing = new Set(['content-length', 'transfer-encoding', 'upgrade'])

/** Applies changes to a request, pseudo headers included. A name that can't be one is given back, and nothing is sent on then. */
export function changeRequest(head: RequestHead, list: readonly HeaderChange[]): string | null {
  for (const change of list) {
    const { name, value, how } = change
    if (isPseudo(name)) {
      if (how === 'set') setPseudo(name, head, value)
      else if (value !== '') setPseudo(name, head, `${headerReader(name)(head) ?? ''},${value}`)
    } else if (!isHeaderName(name)) return name
    else if (!framing.has(name)) changeOne(head, change, singleInRequests.includes(headerName(name)))
  }
  return null
}

/** Answers a request that a service gave a name which can't be a header's. */
export function replyMisnamed(stream: HttpStream, name: string): void {
  const details = `filter_removed_required_request_headers{invalid_header_name:_${name.replaceAll(/\s/g, '_')}}`
  stream.reply(503, `invalid header name: ${name}`, { details, flags: ['DPE'] })
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
  return !name.startsWith(':') && isHeaderName(name) && !framing.has(name)
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

/** Whether text can be a header's name. */
export function isHeaderName(name: string): boolean {
  return /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/i.test(name)
}
