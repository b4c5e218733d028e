import type { ResetReason } from '@weft/http/stream'
import type { StreamRecord } from '../../../observe/stream-record.ts'

/** Flag and details of how a client ended its request, where it did not just go away. */
const meanings: Partial<Record<ResetReason, readonly [flag: string, details: string]>> = {
  'remote-reset': ['DR', 'http2.remote_reset'],
  'refused-stream': ['DR', 'http2.remote_refuse'],
  'protocol-error': ['DPE', 'http2.violation.of.messaging.rule'],
}

/** Notes for the log how a client ended its request before it was answered. */
export function noteRequestReset(info: StreamRecord, reason: ResetReason, detail: string): void {
  const [flag, details] = meanings[reason] ?? ['DC', 'downstream_remote_disconnect']
  info.addResponseFlag(flag)
  // The codec's details, without what it says besides.
  if (/^(?:codec_error:|downstream_)/.test(detail)) info.responseCodeDetails = detail
  else info.responseCodeDetails = detail.startsWith('http2.') ? detail.replace(/:.*/, '') : details
}

/** What a client is told of bytes that are no acceptable request. */
export function refusalText(status: number): string {
  switch (status) {
    case 403:
      return 'Forbidden'
    case 431:
      return 'Request Header Fields Too Large'
    case 501:
      return 'Not Implemented'
    case 426:
      return 'Upgrade Required'
    default:
      return 'Bad Request'
  }
}
