import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  HeaderValueOption,
} from '@weft/contracts/envoy/config/core/v3/base'
import type { Headers } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'

/** Header edits as a route or a weighted cluster states them, and a new host where `set` names the authority. */
export interface HeaderEdits {
  readonly requestHeadersToAdd: HeaderValueOption[]
  readonly requestHeadersToRemove: string[]
  readonly responseHeadersToAdd: HeaderValueOption[]
  readonly responseHeadersToRemove: string[]
  readonly authority: string | undefined
}

/** Edits of a `headers` block. */
export function headerEdits(headers: Headers | undefined): HeaderEdits {
  const set = headers?.request?.set ?? {}
  const authority = Object.entries(set).find(([name]) => isAuthority(name))?.[1]
  return {
    requestHeadersToAdd: [
      ...options(set, AppendAction.OVERWRITE_IF_EXISTS_OR_ADD),
      ...options(headers?.request?.add, AppendAction.APPEND_IF_EXISTS_OR_ADD),
    ],
    requestHeadersToRemove: (headers?.request?.remove ?? []).filter((name) => !isAuthority(name)),
    responseHeadersToAdd: [
      ...options(headers?.response?.set, AppendAction.OVERWRITE_IF_EXISTS_OR_ADD),
      ...options(headers?.response?.add, AppendAction.APPEND_IF_EXISTS_OR_ADD),
    ],
    responseHeadersToRemove: [...(headers?.response?.remove ?? [])],
    authority,
  }
}

type Action = (typeof AppendAction)[keyof typeof AppendAction]

function options(values: Readonly<Record<string, string>> | undefined, appendAction: Action): HeaderValueOption[] {
  return Object.entries(values ?? {})
    .filter(([name]) => !isAuthority(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => HeaderValueOption.fromPartial({ header: { key, value }, appendAction }))
}

/** Envoy takes no edits of pseudo headers; a new host is a host rewrite. */
function isAuthority(name: string): boolean {
  const lower = name.toLowerCase()
  return lower === 'host' || lower === ':authority'
}
