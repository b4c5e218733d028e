import { HeaderValueOption_HeaderAppendAction as Action, type HeaderValueOption } from '@weft/contracts/envoy/config/core/v3/base'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'

/** One header that the authorization service wants changed; `append` lengthens the value that is there, `append-if-there` only that. */
export interface HeaderChange {
  readonly name: string
  readonly value: string
  readonly how: 'set' | 'add' | 'append' | 'append-if-there' | 'add-if-absent' | 'overwrite-if-exists'
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
      /** What the service wants the client to be told; absent: what the filter's configuration says. */
      answer?: { status: number; headers: readonly HeaderChange[]; body: Buffer }
    }

/** A header option of the service's answer; `append` absent replaces. */
export function changeOf({ header, append, appendAction }: HeaderValueOption, appends: HeaderChange['how']): HeaderChange {
  const name = (header?.key ?? '').toLowerCase()
  const value =
    header === undefined
      ? ''
      : header.value !== ''
        ? Buffer.from(header.value).toString('latin1')
        : Buffer.from(header.rawValue).toString('latin1')
  if (append !== undefined) return { name, value, how: append ? appends : 'set' }
  if (appendAction === Action.ADD_IF_ABSENT) return { name, value, how: 'add-if-absent' }
  if (appendAction === Action.OVERWRITE_IF_EXISTS) return { name, value, how: 'overwrite-if-exists' }
  return { name, value, how: 'set' }
}

/** Applies changes to ordinary headers. */
export function applyChanges(headers: HeaderTable, changes: readonly HeaderChange[]): void {
  // One header set several times (cookies) keeps all its new values, and none of the old.
  const fresh = new Set<string>()
  for (const { name, value, how } of changes) {
    const header = headerName(name)
    if (how === 'set') {
      if (fresh.has(name)) headers.append(header, value)
      else headers.set(header, value)
      fresh.add(name)
    } else applyOne(headers, header, value, how)
  }
}

function applyOne(headers: HeaderTable, name: HeaderName, value: string, how: Exclude<HeaderChange['how'], 'set'>): void {
  const there = headers.has(name)
  if (there && (how === 'append' || how === 'append-if-there')) {
    headers.set(name, `${headers.getAll(name) ?? ''},${value}`)
    return
  }
  if (how === 'add' || how === 'append' || (how === 'add-if-absent' && !there)) headers.append(name, value)
  else if (how === 'overwrite-if-exists' && there) headers.set(name, value)
}
