import type { Node } from '@weft/contracts/envoy/config/core/v3/base'
import type { Update } from './type-state.ts'

/** A client's request, read from either variant. */
export interface Ask {
  readonly typeUrl: string
  readonly node: Node | undefined
  /** The response it answers; empty when it answers none. */
  readonly nonce: string
  /** Set when that response was refused: the client's words. */
  readonly refusal: string | undefined
  readonly names:
    | { readonly type: 'whole'; readonly names: readonly string[]; readonly version: string }
    | {
        readonly type: 'change'
        readonly subscribe: readonly string[]
        readonly unsubscribe: readonly string[]
        readonly initialVersions: ReadonlyMap<string, string>
      }
}

/** One of the two wire forms of xDS: how a request is read and how an answer is written. */
export interface Variant<Request> {
  readonly name: 'sotw' | 'delta'
  readonly read: (request: Request) => Ask
  readonly write: (typeUrl: string, nonce: string, update: Update) => Buffer
}
