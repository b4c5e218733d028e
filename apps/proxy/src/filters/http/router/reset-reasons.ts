import type { ResetReason } from '@weft/http/stream'
import { isLocalFailure } from '../../../upstream/open-socket.ts'
import { connectionTimeout, toldFailure } from '../../../upstream/upstream-link.ts'

/** What is answered when upstream gave no response, as Envoy words it; an interim one counts as a start. */
export function describeReset(
  reason: ResetReason,
  detail: string,
  retried: boolean,
  interim: boolean,
): { status: number; flag: string; body: string; details: string } {
  const { word, flag, status } = words(reason, detail)
  const failure = reason === 'connect-failure' ? toldFailure(detail) : ''
  // The transport's reason stands in the log; clients are not told it.
  const start = 'upstream connect error or disconnect/reset before headers. '
  const body = `${start}${retried ? 'retried and the latest ' : ''}reset reason: ${word}`
  const details = `upstream_reset_${interim ? 'after' : 'before'}_response_started{${word.replaceAll(' ', '_')}${failure === '' ? '' : `|${failure}`}}`
  return { status, flag, body, details }
}

/** Flag and details of a response that broke off. */
export function describeBreak(reason: ResetReason, detail: string): { flag: string; details: string } {
  const { word, flag } = words(reason, detail)
  return { flag, details: `upstream_reset_after_response_started{${word.replaceAll(' ', '_')}}` }
}

/** The reason alone. */
export function resetWord(reason: ResetReason, detail: string): string {
  return words(reason, detail).word
}

function words(reason: ResetReason, detail: string): { word: string; flag: string; status: number } {
  switch (reason) {
    case 'connect-failure':
      return detail === connectionTimeout
        ? { word: connectionTimeout, flag: 'UF', status: 503 }
        : { word: `${isLocalFailure(detail) ? 'local' : 'remote'} connection failure`, flag: 'UF', status: 503 }
    case 'connection-closed':
      return { word: 'connection termination', flag: 'UC', status: 503 }
    case 'protocol-error':
      return { word: 'protocol error', flag: 'UPE', status: 502 }
    case 'refused-stream':
      return { word: 'remote refused stream reset', flag: 'UR', status: 503 }
    case 'overflow':
      return { word: 'overflow', flag: 'UO', status: 503 }
    default:
      if (detail === 'CONNECT_ERROR') return { word: 'remote error with CONNECT request', flag: 'UR', status: 503 }
      return { word: 'remote reset', flag: 'UR', status: 503 }
  }
}
