import type { RouteDirective } from '@weft/contracts/istio/mixer/v1/check'
import { grpcStatusName, httpStatusOf } from '../../../upstream/grpc-status.ts'
import type { LocalReply } from '../filter.ts'

/** What Mixer said of a request. */
export interface Verdict {
  /** google.rpc.Code; 0 lets the request pass. */
  readonly code: number
  readonly message: string
  readonly directive: RouteDirective | undefined
}

export const PASS: Verdict = { code: 0, message: '', directive: undefined }

const MAX_DETAILS = 200

/** The answer that a verdict gives the client; undefined when the request goes on. */
export function replyOf(verdict: Verdict): { status: number; body: string; options: LocalReply } | undefined {
  const direct = verdict.directive?.directResponseCode ?? 0
  if (verdict.code === 0 && direct === 0) return undefined
  const isDirect = direct >= 200 && direct <= 599
  return {
    status: isDirect ? direct : httpStatusOf(verdict.code),
    body: isDirect ? (verdict.directive?.directResponseBody ?? '') : `${grpcStatusName(verdict.code)}:${verdict.message}`,
    options: {
      details: verdictDetails(verdict),
      flags: verdict.code === 0 ? [] : ['UAEX'],
      ...(verdict.code === 0 ? {} : { grpcStatus: verdict.code }),
    },
  }
}

/**
 * Response code details of a verdict, `mixer_denied[rule/handler]`: Mixer's messages begin with who made the decision. Spaces are not allowed in response code
 * details, since access logs are split at them.
 */
export function verdictDetails(verdict: Verdict): string {
  if (verdict.code === 0) return 'mixer_direct_response'
  const end = verdict.message.indexOf(': ')
  const by = (end < 0 ? verdict.message : verdict.message.slice(0, end)).slice(0, MAX_DETAILS)
  return `mixer_denied[${by.replace(/[\s[\]\0-\x1f\x7f]+/g, '_')}]`
}
