import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { expect, test } from 'vitest'
import { compileLogMoments } from './log-moments.ts'

function momentsOf(source: Parameters<typeof HttpConnectionManager.fromPartial>[0]) {
  return compileLogMoments(HttpConnectionManager.fromPartial(source), 'hcm')
}

const interval = { seconds: 2, nanos: 500_000_000 }

test('requests are logged at their end alone, unless options say more', () => {
  expect(momentsOf({})).toEqual({ start: false, tunnel: false, intervalMs: 0 })
  const accessLogOptions = {
    flushAccessLogOnNewRequest: true,
    flushLogOnTunnelSuccessfullyEstablished: true,
    accessLogFlushInterval: interval,
  }
  expect(momentsOf({ accessLogOptions })).toEqual({ start: true, tunnel: true, intervalMs: 2500 })
})

test('older fields say the same, and not beside the options', () => {
  const older = { flushAccessLogOnNewRequest: true, accessLogFlushInterval: interval }
  expect(momentsOf(older)).toEqual({ start: true, tunnel: false, intervalMs: 2500 })
  for (const [name, value] of Object.entries(older))
    expect(() => momentsOf({ [name]: value, accessLogOptions: {} })).toThrow('Only one of')
})
