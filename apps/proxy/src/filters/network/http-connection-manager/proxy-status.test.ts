import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { headerName } from '@weft/http/header-name'
import { ResponseHead } from '@weft/http/message'
import { expect, it } from 'vitest'
import { StreamRecord } from '../../../observe/stream-record.ts'
import { compileProxyStatus, tellProxyStatus } from './proxy-status.ts'

type Config = NonNullable<Parameters<typeof HttpConnectionManager.fromPartial>[0]['proxyStatusConfig']>

function told(config: Config, flags: string[], details: string, before?: string): [status: number, told: string | null] {
  const rules = compileProxyStatus(HttpConnectionManager.fromPartial({ proxyStatusConfig: config }), 'the-node')
  const info = new StreamRecord()
  for (const flag of flags) info.addResponseFlag(flag)
  info.responseCodeDetails = details
  const response = new ResponseHead()
  response.status = 503
  if (before !== undefined) response.headers.append(headerName('proxy-status'), before)
  if (rules !== null) tellProxyStatus(response, info, rules)
  return [response.status, response.headers.getAll(headerName('proxy-status'))]
}

it('tells what went wrong, by whose account, and how', () => {
  expect(told({}, ['UH'], 'no_healthy_upstream')).toEqual([
    503,
    'envoy; error=destination_unavailable; details="no_healthy_upstream; UH"',
  ])
  expect(told({ removeDetails: true }, ['UF', 'URX'], 'x')).toEqual([503, 'envoy; error=connection_refused'])
  expect(told({ removeResponseFlags: true }, ['UF'], 'not now')).toEqual([
    503,
    'envoy; error=connection_refused; details="not_now"',
  ])
})

it('names the proxy as it is told to, behind others', () => {
  const named = { proxyName: { $case: 'literalProxyName' as const, value: 'p' }, removeDetails: true }
  expect(told(named, ['NR'], '', 'other; error=x')[1]).toBe('other; error=x, p; error=destination_not_found')
  expect(told({ proxyName: { $case: 'useNodeId', value: true }, removeDetails: true }, ['NC'], '')[1]).toBe(
    'the-node; error=destination_unavailable',
  )
})

it('answers with the status that is recommended, where there is one', () => {
  const config = { setRecommendedResponseCode: true, removeDetails: true }
  expect(told(config, ['UF'], '')).toEqual([502, 'envoy; error=connection_refused'])
  expect(told(config, ['FI'], '')[1]).toBe('envoy; error=http_request_error')
})

it('says nothing where nothing went wrong', () => {
  expect(told({}, [], 'via_upstream')).toEqual([503, null])
})
