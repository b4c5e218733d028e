import type { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { headerName } from '@weft/http/header-name'
import type { ResponseHead } from '@weft/http/message'
import type { StreamRecord } from '../../../observe/stream-record.ts'

/** What is told of answers that went wrong, in a header of RFC 9209. */
export interface ProxyStatusRules {
  proxyName: string
  details: boolean
  terminationDetails: boolean
  responseFlags: boolean
  /** The answer gets the status that the RFC recommends for what went wrong. */
  recommends: boolean
}

/** An error of RFC 9209 section 2.3, and the status it recommends where it does. */
interface ProxyError {
  error: string
  status?: number
}

const unavailable: ProxyError = { error: 'destination_unavailable', status: 503 }
const noResponse: ProxyError = { error: 'http_response_timeout', status: 504 }
const slow: ProxyError = { error: 'connection_timeout', status: 504 }
const terminated: ProxyError = { error: 'connection_terminated', status: 502 }
const refused: ProxyError = { error: 'connection_refused', status: 502 }
const full: ProxyError = { error: 'connection_limit_reached', status: 503 }
const badRequest: ProxyError = { error: 'http_request_error' }

/** What response flags mean; of several the first counts. */
const errors: readonly (readonly [flag: string, error: ProxyError])[] = [
  ['LH', unavailable],
  ['UH', unavailable],
  ['UT', noResponse],
  ['DT', slow],
  ['LR', slow],
  ['UR', terminated],
  ['UF', refused],
  ['UAEX', refused],
  ['UC', terminated],
  ['OM', full],
  ['DO', full],
  ['FI', badRequest],
  ['DC', terminated],
  ['DR', terminated],
  ['UO', full],
  ['NR', { error: 'destination_not_found', status: 500 }],
  ['RL', full],
  ['RLSE', full],
  ['URX', unavailable],
  ['SI', noResponse],
  ['IH', badRequest],
  ['DPE', badRequest],
  ['UMSDR', noResponse],
  ['NFCF', { error: 'proxy_configuration_error', status: 500 }],
  ['UPE', { error: 'http_protocol_error', status: 502 }],
  ['NC', unavailable],
  ['DF', { error: 'dns_error', status: 502 }],
]

const proxyStatus = headerName('proxy-status')

/** Compiles `proxy_status_config`; null: nothing is told. */
export function compileProxyStatus(source: HttpConnectionManager, nodeId: string): ProxyStatusRules | null {
  const config = source.proxyStatusConfig
  if (config === undefined) return null
  const serverName = source.serverName === '' ? 'envoy' : source.serverName
  const name = config.proxyName
  return {
    proxyName: name === undefined ? serverName : name.$case === 'literalProxyName' ? name.value : nodeId,
    details: !config.removeDetails,
    terminationDetails: !config.removeConnectionTerminationDetails,
    responseFlags: !config.removeResponseFlags,
    recommends: config.setRecommendedResponseCode,
  }
}

/** Says in Proxy-Status what went wrong with a request, where something did. */
export function tellProxyStatus(response: ResponseHead, info: StreamRecord, rules: ProxyStatusRules): void {
  const { flags } = info
  if (flags.length === 0) return
  const found = errors.find(([flag]) => flags.includes(flag))?.[1]
  if (found === undefined) return
  let value = `${rules.proxyName}; error=${found.error}`
  if (rules.details && info.responseCodeDetails !== '') {
    const details = [info.responseCodeDetails.replaceAll(/\s/g, '_')]
    if (rules.terminationDetails && info.terminationDetails !== '') details.push(info.terminationDetails)
    if (rules.responseFlags) details.push(flags.join(','))
    value += `; details="${details.join('; ')}"`
  }
  const before = response.headers.getAll(proxyStatus)
  response.headers.set(proxyStatus, before === null ? value : `${before}, ${value}`)
  if (rules.recommends && found.status !== undefined) response.status = found.status
}
