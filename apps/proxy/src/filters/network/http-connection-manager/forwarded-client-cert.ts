import {
  type HttpConnectionManager_SetCurrentClientCertDetails as Details,
  HttpConnectionManager_ForwardClientCertDetails as Mode,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { TlsInfo } from '../../../transport/connection-info.ts'

/** How x-forwarded-client-cert is treated. */
export interface ClientCertRules {
  mode: Mode
  details: Details | undefined
}

/** Sanitises, forwards, appends or sets x-forwarded-client-cert (Envoy's five modes). */
export function applyClientCert(headers: HeaderTable, tls: TlsInfo | null, rules: ClientCertRules): void {
  if (rules.mode === Mode.ALWAYS_FORWARD_ONLY) return
  const mutual = tls?.peer != null
  if (rules.mode === Mode.SANITIZE || !mutual) {
    headers.remove(names.forwardedClientCert)
    return
  }
  if (rules.mode === Mode.FORWARD_ONLY) return
  const element = describe(tls, rules.details)
  if (rules.mode === Mode.SANITIZE_SET) {
    headers.set(names.forwardedClientCert, element)
    return
  }
  const before = headers.getAll(names.forwardedClientCert)
  headers.set(names.forwardedClientCert, before === null ? element : `${before},${element}`)
}

function describe(tls: TlsInfo, details: Details | undefined): string {
  const { peer } = tls
  if (peer === null) return ''
  const parts: string[] = []
  for (const uri of tls.localUris) parts.push(`By=${uri}`)
  parts.push(`Hash=${peer.fingerprint256}`)
  if (details?.cert === true) parts.push(`Cert="${encodeURIComponent(peer.pem)}"`)
  if (details?.chain === true) parts.push(`Chain="${encodeURIComponent(peer.pem)}"`)
  if (details?.subject === true) parts.push(`Subject="${peer.subject}"`)
  if (details?.uri === true) for (const uri of peer.uris.length === 0 ? [''] : peer.uris) parts.push(`URI=${uri}`)
  if (details?.dns === true) for (const name of peer.dnsNames) parts.push(`DNS=${name}`)
  return parts.join(';')
}
