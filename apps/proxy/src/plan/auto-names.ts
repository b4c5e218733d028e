import { isIP } from 'node:net'
import type { UpstreamHttpProtocolOptions } from '@weft/contracts/envoy/config/core/v3/protocol'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import type { RequestNames } from '../transport/upstream-tls.ts'

/** What a request has the handshake of its connection ask for. */
export type AutoNames = (request: RequestHead) => RequestNames

/** Compiles auto_sni and auto_san_validation; null: neither is asked for. */
export function compileAutoNames(source: UpstreamHttpProtocolOptions | undefined): AutoNames | null {
  if (source === undefined || (!source.autoSni && !source.autoSanValidation)) return null
  const header: HeaderName | null = source.overrideAutoSniHeader === '' ? null : headerName(source.overrideAutoSniHeader)
  return (request) => {
    const named = header === null ? null : request.headers.get(header)
    const host = hostOf(named || request.authority)
    return { sni: source.autoSni && isIP(host) === 0 ? host : '', san: source.autoSanValidation ? host : '' }
  }
}

/** An authority without its port, and an IPv6 address without its brackets. */
function hostOf(authority: string): string {
  const match = /^\[([^\]]*)\](?::\d*)?$/.exec(authority) ?? /^(.*?)(?::\d*)?$/.exec(authority)
  return match?.[1] ?? authority
}
