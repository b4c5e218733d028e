import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from '@weft/contracts/envoy/config/core/v3/base'
import { type HeaderName, headerName, singleInRequests, singleInResponses } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'
import type { FormatContext } from '../observe/format/context.ts'
import { compileTextFormat, type TextFormat } from '../observe/format/text-format.ts'
import { invalid } from '../plan/problems.ts'
import { isPseudo } from './matchers/header-matcher.ts'

/** What a level (route, virtual host, table, cluster weight) adds to and removes from headers. */
export interface HeaderEdits {
  onRequest(context: FormatContext, request: RequestHead): void
  onResponse(context: FormatContext, headers: HeaderTable): void
}

interface Addition {
  name: HeaderName
  action: HeaderValueOption_HeaderAppendAction
  keepEmpty: boolean
  /** Takes the place of what is there. */
  overwrites: boolean
  /** Joins the value that is there. */
  joins: boolean
  value: TextFormat
}

interface EditSource {
  requestHeadersToAdd: readonly HeaderValueOption[]
  requestHeadersToRemove: readonly string[]
  responseHeadersToAdd: readonly HeaderValueOption[]
  responseHeadersToRemove: readonly string[]
}

/** Compiles a level's edits; null when it has none. */
export function compileHeaderEdits(source: EditSource, path: string): HeaderEdits | null {
  const requestAdd = compileAdditions(source.requestHeadersToAdd, `${path}.request_headers_to_add`, singleInRequests)
  const responseAdd = compileAdditions(source.responseHeadersToAdd, `${path}.response_headers_to_add`, singleInResponses)
  const requestRemove = compileRemovals(source.requestHeadersToRemove, `${path}.request_headers_to_remove`)
  const responseRemove = compileRemovals(source.responseHeadersToRemove, `${path}.response_headers_to_remove`)
  if (requestAdd.length + responseAdd.length + requestRemove.length + responseRemove.length === 0) return null
  const editRequest = editor(requestRemove, requestAdd)
  const editResponse = editor(responseRemove, responseAdd)
  return { onRequest: (context, { headers }) => editRequest(context, headers), onResponse: editResponse }
}

/**
 * A level's edits in Envoy's order: what is removed goes first; then every value is made, and it is seen which of them count, of
 * headers as they are by then; those that overwrite are set, and the others added.
 */
function editor(
  removals: readonly HeaderName[],
  additions: readonly Addition[],
): (context: FormatContext, headers: HeaderTable) => void {
  const values: (string | null)[] = additions.map(() => null)
  return (context, headers) => {
    for (let i = 0; i < removals.length; i++) headers.remove(removals[i]!)
    for (let i = 0; i < additions.length; i++) {
      const addition = additions[i]!
      values[i] = counts(addition, headers) ? addition.value(context) : null
    }
    for (let i = 0; i < additions.length; i++) {
      const { name, keepEmpty, overwrites } = additions[i]!
      const value = values[i]!
      if (overwrites && value !== null && (value !== '' || keepEmpty)) headers.set(name, value)
    }
    for (let i = 0; i < additions.length; i++) {
      const { name, keepEmpty, overwrites, joins } = additions[i]!
      const value = values[i]!
      if (!overwrites && value !== null && (value !== '' || keepEmpty)) addValue(headers, name, value, joins)
    }
  }
}

function counts({ name, action }: Addition, headers: HeaderTable): boolean {
  if (action === HeaderValueOption_HeaderAppendAction.ADD_IF_ABSENT) return !headers.has(name)
  return action !== HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS || headers.has(name)
}

/** Adds a value; to the one that is there where Envoy keeps one of this name (`joins`), an empty one changes nothing then. */
export function addValue(headers: HeaderTable, name: HeaderName, value: string, joins: boolean): void {
  const before = joins ? headers.getAll(name) : null
  if (before === null) headers.append(name, value)
  else if (value !== '') headers.set(name, before === '' ? value : `${before},${value}`)
}

function compileAdditions(options: readonly HeaderValueOption[], path: string, single: readonly HeaderName[]): Addition[] {
  return options.map((option, i) => {
    const at = `${path}[${i}]`
    const header = option.header
    if (header === undefined || header.key === '') throw invalid(`${at}.header.key`, 'a header name is needed')
    if (isPseudo(header.key)) {
      throw invalid(`${at}.header.key`, `headers that begin with ':', and Host, may not be modified: '${header.key}'`)
    }
    if (option.append !== undefined && option.appendAction !== HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD)
      throw invalid(at, "Both append and append_action are set and it's not allowed")
    const text = header.value !== '' ? header.value : Buffer.from(header.rawValue).toString()
    // The older boolean: false replaces.
    const action =
      option.append === undefined
        ? option.appendAction
        : option.append
          ? HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD
          : HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    const name = headerName(header.key)
    return {
      name,
      action,
      overwrites:
        action === HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD ||
        action === HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS,
      joins: single.includes(name),
      keepEmpty: option.keepEmptyValue,
      value: compileTextFormat(text, `${at}.header.value`, ''),
    }
  })
}

function compileRemovals(names: readonly string[], path: string): HeaderName[] {
  return names.map((name, i) => {
    if (isPseudo(name)) {
      throw invalid(`${path}[${i}]`, `':'-prefixed or host headers may not be removed: '${name}'`)
    }
    return headerName(name)
  })
}
