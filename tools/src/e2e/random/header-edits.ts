import type { Message } from '../parity/bootstrap.ts'
import type { Json } from '../parity/json.ts'
import { type Choice, fields } from './choice.ts'
import { headerValue } from './formats.ts'
import { names } from './words.ts'

export const appendActions = [
  'APPEND_IF_EXISTS_OR_ADD',
  'ADD_IF_ABSENT',
  'OVERWRITE_IF_EXISTS_OR_ADD',
  'OVERWRITE_IF_EXISTS',
] as const

const requestNames = [
  ...names,
  'X-A',
  'x-new',
  'x-level',
  'user-agent',
  'accept',
  'cookie',
  'x-forwarded-for',
  'content-type',
  'via',
] as const
const responseNames = [
  'x-r',
  'X-R',
  'x-s',
  'x-level',
  'server',
  'content-type',
  'set-cookie',
  'cache-control',
  'x-envoy-upstream-service-time',
] as const

/** A HeaderValueOption. */
export function headerOption(choice: Choice, list: readonly string[]): Message {
  return fields({
    header: { key: choice.pick(list), value: headerValue(choice) },
    append_action: choice.maybe(75, () => choice.pick(appendActions)),
    keep_empty_value: choice.maybe(30, () => true),
  })
}

/** What one level (routes, hosts, clusters, the whole table) does to headers; `share`: how often it does each. */
export function headerEdits(choice: Choice, share: number): Record<string, Json | undefined> {
  const list = (names: readonly string[]): Message[] => choice.many(1, 3, () => headerOption(choice, names))
  return {
    request_headers_to_add: choice.maybe(share, () => list(requestNames)),
    request_headers_to_remove: choice.maybe(share / 2, () => [choice.pick(requestNames)]),
    response_headers_to_add: choice.maybe(share, () => list(responseNames)),
    response_headers_to_remove: choice.maybe(share / 2, () => [choice.pick(responseNames)]),
  }
}

/** Mutations of the header_mutation filter and of early header mutation. */
export function mutations(choice: Choice, kind: 'request' | 'response'): Message[] {
  const list = kind === 'request' ? requestNames : responseNames
  return choice.many(1, 3, () =>
    choice.pick<() => Message>([
      () => ({ append: headerOption(choice, list) }),
      () => ({ append: headerOption(choice, list) }),
      () => ({ remove: choice.pick(list) }),
      // Not the names by which requests are found again.
      () => ({
        remove_on_match: { key_matcher: { prefix: choice.pick(['x-b', 'x-c', 'X-C']), ignore_case: choice.chance(30) } },
      }),
    ])(),
  )
}
