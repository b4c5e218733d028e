import { expect, it } from 'vitest'
import { StreamRecord } from '../../../observe/stream-record.ts'
import { noteRequestReset, refusalText } from './request-ends.ts'

it.each([
  ['connection-closed', 'connection closed', 'DC', 'downstream_remote_disconnect'],
  ['connection-closed', 'downstream_local_disconnect(x)', 'DC', 'downstream_local_disconnect(x)'],
  ['remote-reset', 'CANCEL', 'DR', 'http2.remote_reset'],
  ['refused-stream', 'REFUSED_STREAM', 'DR', 'http2.remote_refuse'],
  ['protocol-error', 'http2.too_many_headers: 101', 'DPE', 'http2.too_many_headers'],
  ['protocol-error', 'codec_error:The user callback function failed', 'DPE', 'codec_error:The user callback function failed'],
] as const)('a request that ends by %s (%s) is noted as %s', (reason, detail, flag, details) => {
  const info = new StreamRecord()
  noteRequestReset(info, reason, detail)
  expect(info.responseFlags).toEqual([flag])
  expect(info.responseCodeDetails).toBe(details)
})

it('bytes that are no request are refused in the words of their status', () => {
  expect([400, 426, 431, 501].map(refusalText)).toEqual([
    'Bad Request',
    'Upgrade Required',
    'Request Header Fields Too Large',
    'Not Implemented',
  ])
})
