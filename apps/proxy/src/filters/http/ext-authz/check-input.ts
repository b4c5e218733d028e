import type { HttpStream } from '../filter.ts'

/** What a check is made of: the request and what of its body was waited for. */
export interface CheckInput {
  readonly stream: HttpStream
  /** null: there is none, or it is not sent. */
  readonly body: { readonly bytes: Buffer; readonly isPartial: boolean } | null
  readonly contextExtensions: Readonly<Record<string, string>>
}

/** Asks the authorization service. Rejects when there is no answer to go by. */
export type Check<Verdict> = (input: CheckInput, signal: AbortSignal) => Promise<Verdict>

export const partialBody = 'x-envoy-auth-partial-body'
