import { type HeaderOperation, HeaderOperation_Operation as Operation } from '@weft/contracts/istio/mixer/v1/check'
import { type HeaderName, type HeaderTable, headerName } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'

/** A directive comes over the wire, so it may hold what no header may. */
const NAME = /^[!#$%&'*+.^_`|~0-9a-zA-Z-]+$/
const VALUE = /^[^\0\r\n]*$/
/** Framing and connection headers are the codec's own. */
const FIXED = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'te', 'trailer'])

/** Applies a directive's operations to a request; says whether something that routes look at has changed. Operations that make no sense are left out. */
export function applyToRequest(operations: readonly HeaderOperation[], request: RequestHead): boolean {
  for (const operation of operations) {
    if (operation.operation !== Operation.REMOVE && VALUE.test(operation.value) && operation.value !== '') {
      if (operation.name === ':authority') request.authority = operation.value
      else if (operation.name === ':path' && operation.value.startsWith('/')) request.path = operation.value
    }
    applyOne(operation, request.headers)
  }
  return operations.length > 0
}

/** Applies a directive's operations to a response's headers. */
export function applyToResponse(operations: readonly HeaderOperation[], headers: HeaderTable): void {
  for (const operation of operations) applyOne(operation, headers)
}

/** The headers that a directive adds, for an answer that the proxy makes itself. */
export function addedHeaders(operations: readonly HeaderOperation[]): (readonly [name: string, value: string])[] {
  return operations
    .filter((operation) => operation.operation !== Operation.REMOVE && isUsable(operation))
    .map(({ name, value }) => [name.toLowerCase(), value] as const)
}

function applyOne(operation: HeaderOperation, headers: HeaderTable): void {
  if (!isUsable(operation)) return
  const name: HeaderName = headerName(operation.name.toLowerCase())
  switch (operation.operation) {
    case Operation.REPLACE:
      headers.set(name, operation.value)
      return
    case Operation.APPEND:
      headers.append(name, operation.value)
      return
    case Operation.REMOVE:
      headers.remove(name)
  }
}

function isUsable({ name, value }: HeaderOperation): boolean {
  return NAME.test(name) && VALUE.test(value) && !FIXED.has(name.toLowerCase())
}
