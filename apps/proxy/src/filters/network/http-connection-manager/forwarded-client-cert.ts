import {
  HttpConnectionManager_ForwardClientCertConfig as Config,
  type HttpConnectionManager_SetCurrentClientCertDetails as Details,
  HttpConnectionManager_ForwardClientCertFormat as Format,
  HttpConnectionManager_ForwardClientCertDetails as Mode,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import type { Matcher } from '@weft/contracts/xds/type/matcher/v3/matcher'
import { names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { invalid } from '../../../plan/problems.ts'
import { compileMatchTree, type MatchTree } from '../../../routing/matchers/matcher-tree.ts'
import type { PeerCertificate, TlsInfo } from '../../../transport/connection-info.ts'

/** How x-forwarded-client-cert is treated. */
export interface ClientCertRules {
  mode: Mode
  details: Details | undefined
}

/** Compiles the rules of a connection manager, or of a match. */
export function compileClientCert(source: Config): ClientCertRules {
  return { mode: source.forwardClientCertDetails, details: source.setCurrentClientCertDetails }
}

/** Compiles `forward_client_cert_matcher`, which chooses the rules of a request. */
export function compileClientCertTree(tree: Matcher, path: string): MatchTree<ClientCertRules> {
  return compileMatchTree(tree, path, ({ typeUrl, value }, at) => {
    if (typeUrl.split('/').pop() !== actionType)
      throw invalid(at, `Didn't find a registered implementation for type: '${typeUrl}'`)
    return compileClientCert(Config.decode(value))
  })
}

const actionType = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ForwardClientCertConfig'

/** Sanitises, forwards, appends or sets x-forwarded-client-cert (Envoy's five modes). */
export function applyClientCert(headers: HeaderTable, tls: TlsInfo | null, rules: ClientCertRules): void {
  if (rules.mode === Mode.ALWAYS_FORWARD_ONLY) return
  const mutual = tls?.peer != null
  if (rules.mode === Mode.SANITIZE || !mutual) {
    headers.remove(names.forwardedClientCert)
    return
  }
  if (rules.mode === Mode.FORWARD_ONLY) return
  const before = rules.mode === Mode.SANITIZE_SET ? null : headers.getAll(names.forwardedClientCert)
  // What came as JSON or as text goes on as that.
  if (before === null ? rules.details?.format === Format.JSON : /^\[.*\]$/.test(before)) {
    const element = describeJson(tls, rules.details)
    const others = before?.slice(1, -1) ?? ''
    headers.set(names.forwardedClientCert, others.trim() === '' ? `[${element}]` : `[${others},${element}]`)
    return
  }
  const element = describe(tls, rules.details)
  headers.set(names.forwardedClientCert, before === null ? element : `${before},${element}`)
}

/** An object of JSON; lists that are empty are left out. */
function describeJson({ peer, localUris }: TlsInfo, details: Details | undefined): string {
  if (peer === null) return '{}'
  const uris = details?.uri === true ? peer.uris : []
  const names = details?.dns === true ? peer.dnsNames : []
  return JSON.stringify({
    by: localUris.length > 0 ? localUris : undefined,
    hash: peer.fingerprint256,
    cert: details?.cert === true ? peer.pem : undefined,
    chain: details?.chain === true ? pemChain(peer) : undefined,
    subject: details?.subject === true ? peer.subject : undefined,
    uri: uris.length > 0 ? uris : undefined,
    dns: names.length > 0 ? names : undefined,
    issuer: details?.issuer === true ? peer.issuer : undefined,
  })
}

/** What the client sent, its own certificate first. */
function pemChain({ chain, pem }: PeerCertificate): string[] {
  return chain?.map(String) ?? [pem]
}

function describe(tls: TlsInfo, details: Details | undefined): string {
  const { peer } = tls
  if (peer === null) return ''
  const parts: string[] = []
  for (const uri of tls.localUris) parts.push(`By=${uri}`)
  parts.push(`Hash=${peer.fingerprint256}`)
  if (details?.cert === true) parts.push(`Cert="${encodeURIComponent(peer.pem)}"`)
  if (details?.chain === true) parts.push(`Chain="${encodeURIComponent(pemChain(peer).join(''))}"`)
  if (details?.subject === true) parts.push(`Subject="${peer.subject}"`)
  if (details?.uri === true) for (const uri of peer.uris.length === 0 ? [''] : peer.uris) parts.push(`URI=${uri}`)
  if (details?.dns === true) for (const name of peer.dnsNames) parts.push(`DNS=${name}`)
  if (details?.issuer === true) parts.push(`Issuer="${peer.issuer}"`)
  return parts.join(';')
}
