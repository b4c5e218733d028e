import type { Node } from '@weft/contracts/envoy/config/core/v3/base'
import type { ResourceResponse, TypeState } from './subscription.ts'

/** How an answered response is told back. */
interface Verdict {
  problems: readonly string[]
}

/** A response taken apart: which type it answers, and how to answer it. */
interface ParsedResponse {
  typeUrl: string
  nonce: string
  controlPlane: string
  /** What it says; throws WeftError for resources that can't be taken apart. */
  read(): ResourceResponse
}

/** One variant of the xDS transport protocol over opaque messages; `sotw.ts` and `delta.ts` are the two. */
export interface XdsProtocol {
  readonly name: 'sotw' | 'delta'
  parse(message: Buffer): ParsedResponse
  /** The first request for a type on a connection. */
  first(state: TypeState, node: Node | undefined): Buffer
  /** The names changed; undefined when there is nothing to tell. */
  renamed(state: TypeState, node: Node | undefined): Buffer | undefined
  /** ACK or NACK of the response whose nonce stands in the state. */
  answer(state: TypeState, verdict: Verdict, node: Node | undefined): Buffer
}

/** google.rpc.Code INTERNAL: what Envoy puts on a NACK. */
export const nackCode = 13
/** Bounds what a NACK tells, so that it fits every server's metadata and logs. */
const longestNack = 4096

/** The text of a NACK, bounded. */
export function nackText(problems: readonly string[]): string {
  const text = problems.join('\n')
  return text.length > longestNack ? `${text.slice(0, longestNack - 1)}…` : text
}
