import type { HeaderMutation } from '@weft/contracts/envoy/config/common/mutation_rules/v3/mutation_rules'
import { HeaderValueOption_HeaderAppendAction as Action, type HeaderValueOption } from '@weft/contracts/envoy/config/core/v3/base'
import type { StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import { type HeaderName, headerName, singleInRequests, singleInResponses } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import type { FormatContext } from '../../observe/format/context.ts'
import { compileTextFormat } from '../../observe/format/text-format.ts'
import { invalid } from '../../plan/problems.ts'
import { addValue } from '../../routing/header-edits.ts'
import { headerReader, isPseudo } from '../../routing/matchers/header-matcher.ts'
import { compileStringMatcher } from '../../routing/matchers/string-matcher.ts'

/** One edit of a request's or response's head, pseudo headers included. */
export type HeadEdit = (context: FormatContext, head: RequestHead | ResponseHead) => void

/** Compiles a list of header options (add, append, overwrite), whose values may hold command operators. */
export function compileHeaderOptions(options: readonly HeaderValueOption[], path: string): readonly HeadEdit[] {
  return options.map((option, i) => compileHeaderOption(option, `${path}[${i}]`))
}

/** Compiles the mutations of `envoy.config.common.mutation_rules.v3`, in their order. */
export function compileMutations(mutations: readonly HeaderMutation[], path: string): readonly HeadEdit[] {
  return mutations.map(({ action }, i) => {
    const at = `${path}[${i}]`
    if (action === undefined) throw invalid(at, 'an action is needed')
    if (action.$case === 'append') return compileHeaderOption(action.value, `${at}.append`)
    if (action.$case === 'removeOnMatch') return compileRemoval(action.value.keyMatcher, `${at}.remove_on_match.key_matcher`)
    if (isPseudo(action.value)) throw invalid(`${at}.remove`, `':'-prefixed or host headers may not be removed`)
    const name = headerName(action.value)
    return (_context, head) => {
      head.headers.remove(name)
    }
  })
}

/** Removes the headers whose names a matcher holds for. */
function compileRemoval(matcher: StringMatcher | undefined, path: string): HeadEdit {
  if (matcher === undefined) throw invalid(path, 'must be set')
  const matches = compileStringMatcher(matcher, path)
  return (_context, { headers }) => {
    const gone: string[] = []
    headers.forEach((name) => {
      if (matches(name)) gone.push(name)
    })
    for (const name of gone) headers.remove(headerName(name))
  }
}

/** Applies edits in their order. */
export function editHead(edits: readonly HeadEdit[], context: FormatContext, head: RequestHead | ResponseHead): void {
  for (let i = 0; i < edits.length; i++) edits[i]!(context, head)
}

function compileHeaderOption(option: HeaderValueOption, path: string): HeadEdit {
  const { header } = option
  if (header === undefined || header.key === '') throw invalid(`${path}.header.key`, 'a header name is needed')
  if (isPseudo(header.key)) throw invalid(`${path}.header.key`, `':'-prefixed or host headers may not be modified`)
  const text = header.value !== '' ? header.value : Buffer.from(header.rawValue).toString('latin1')
  const value = compileTextFormat(text, `${path}.header.value`, '')
  const action = appendAction(option)
  const set = compileSet(header.key, action)
  return (context, head) => {
    const given = value(context)
    if (given !== '' || option.keepEmptyValue) set(head, given)
  }
}

/** What an option asks for; the older boolean `append` counts where it is given. */
function appendAction({ append, appendAction: action }: Pick<HeaderValueOption, 'append' | 'appendAction'>): Action {
  if (append === undefined) return action
  return append ? Action.APPEND_IF_EXISTS_OR_ADD : Action.OVERWRITE_IF_EXISTS_OR_ADD
}

/** Sets a header the way `action` says; of pseudo headers there is always one, which is replaced. */
function compileSet(name: string, action: Action): (head: RequestHead | ResponseHead, value: string) => void {
  if (isPseudo(name)) {
    const read = headerReader(name)
    return (head, value) => {
      if (action === Action.ADD_IF_ABSENT && read(head) !== null) return
      setPseudo(name.toLowerCase(), head, value)
    }
  }
  const header = headerName(name)
  const joins = { request: singleInRequests.includes(header), response: singleInResponses.includes(header) }
  return (head, value) => setHeader(head.headers, header, value, action, 'status' in head ? joins.response : joins.request)
}

/** Sets an ordinary header the way `action` says. */
function setHeader(headers: HeaderTable, name: HeaderName, value: string, action: Action, joins: boolean): void {
  switch (action) {
    case Action.ADD_IF_ABSENT:
      if (!headers.has(name)) headers.append(name, value)
      break
    case Action.OVERWRITE_IF_EXISTS_OR_ADD:
      headers.set(name, value)
      break
    case Action.OVERWRITE_IF_EXISTS:
      if (headers.has(name)) headers.set(name, value)
      break
    default:
      addValue(headers, name, value, joins)
  }
}

/** Sets a pseudo header (or Host), by its lower-case name; of an answer `:status`, where it is one. */
export function setPseudo(name: string, head: RequestHead | ResponseHead, value: string): void {
  if ('status' in head) {
    if (name === ':status' && /^[1-9]\d\d$/.test(value)) head.status = Number(value)
    return
  }
  switch (name) {
    case ':authority':
    case 'host':
      head.authority = value
      break
    case ':path':
      head.path = value
      break
    case ':method':
      head.method = value
      break
    case ':scheme':
      head.scheme = value
  }
}
