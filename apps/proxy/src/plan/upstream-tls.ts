import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls'
import type { TransportSocket } from '@weft/contracts/envoy/config/core/v3/base'
import {
  ProxyProtocolPassThroughTLVs_PassTLVsMatchType as PassTlvs,
  ProxyProtocolConfig_Version as Version,
} from '@weft/contracts/envoy/config/core/v3/proxy_protocol'
import { ProxyProtocolUpstreamTransport } from '@weft/contracts/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol'
import { UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { ConnectionRecord } from '../observe/connection-record.ts'
import { StreamRecord } from '../observe/stream-record.ts'
import { keepPeer } from '../transport/peer-certificate.ts'
import type { Tlv } from '../transport/proxy-protocol.ts'
import { PeerNotWanted, type ProxiedClient, type RequestNames, type UpstreamTls } from '../transport/upstream-tls.ts'
import { isJudgedHere, peerProblem, presentedBy, usageProblem } from './peer-trust.ts'
import { invalid, unsupported } from './problems.ts'
import type { SecretStore } from './secret-store.ts'
import { compileTlsContext, type TlsMaterial } from './tls-context.ts'
import { compileTlvs } from './tlv-entries.ts'
import { UpstreamSessions } from './upstream-sessions.ts'

/** Compiles a cluster's transport socket; null for a plaintext one. */
export function compileUpstreamTls(socket: TransportSocket, path: string, secrets: SecretStore): UpstreamTls | null {
  const any = socket.configType?.value
  if (any?.typeUrl.endsWith('.raw_buffer.v3.RawBuffer')) return null
  if (any?.typeUrl.endsWith('.proxy_protocol.v3.ProxyProtocolUpstreamTransport'))
    return behindPrelude(ProxyProtocolUpstreamTransport.decode(any.value), `${path}.typed_config`, secrets)
  if (any === undefined || !any.typeUrl.endsWith('.tls.v3.UpstreamTlsContext')) {
    throw unsupported(`${path}.typed_config`, `transport socket '${any?.typeUrl ?? socket.name}'`)
  }
  const source = UpstreamTlsContext.decode(any.value)
  if (source.autoSniSanValidation && source.commonTlsContext?.validationContextType === undefined)
    throw invalid(`${path}.typed_config.auto_sni_san_validation`, 'was configured without a validation context')
  const context = compileTlsContext(source.commonTlsContext, `${path}.typed_config`, secrets, true, source.allowRenegotiation)
  const sessions = new UpstreamSessions(source.maxSessionKeys ?? 1)
  let sessionsOf: TlsMaterial | null = null
  const serverName = (hostname: string, names: RequestNames | null): string =>
    names?.sni || (source.autoHostSni && isIP(hostname) === 0 ? hostname : '') || source.sni
  const wanted = (hostname: string, names: RequestNames | null) => ({
    beside: names?.san ?? '',
    instead: source.autoSniSanValidation ? serverName(hostname, names) : '',
  })
  return {
    alpn: context.alpn,
    keyLog: context.keyLog,
    remember(session, socket, hostname, names) {
      const material = context.current()
      // What is judged by more than the certificate is judged anew each time.
      if (material === null || (material.validation !== null && isJudgedHere(material.validation))) return
      if (sessionsOf !== material) sessions.clear()
      sessionsOf = material
      keepPeer(session, socket)
      sessions.add(serverName(hostname, names), session, socket.getProtocol() === 'TLSv1.3')
    },
    judge(socket, hostname, names) {
      const validation = context.current()?.validation ?? null
      const presented = presentedBy(socket)
      if (presented === null) return null
      const misused = usageProblem(presented.certificate, socket.getCipher().name)
      if (misused !== null) return { problem: misused, tolerated: false }
      if (validation === null) return null
      const problem = peerProblem(presented, validation, wanted(hostname, names))
      return problem === null ? null : { problem, tolerated: validation.acceptUntrusted }
    },
    connectOptions(hostname, names) {
      const material = context.current()
      if (material === null) return 'not-ready'
      const { validation } = material
      const servername = serverName(hostname, names)
      const session = sessionsOf === material ? sessions.take(servername) : undefined
      const verify = validation !== null && validation.ca !== null && !validation.acceptUntrusted
      return {
        secureContext: material.context,
        ...(servername === '' ? {} : { servername }),
        ...(session === undefined ? {} : { session }),
        rejectUnauthorized: verify,
        // Names are matched as configured, not by the host that was asked for.
        checkServerIdentity: (_host, peer) => {
          if (validation === null || peer.raw === undefined) return undefined
          const presented = { certificate: new X509Certificate(peer.raw), sent: () => sentBeside(peer), said: '' }
          const problem = peerProblem(presented, validation, wanted(hostname, names))
          return problem === null ? undefined : new PeerNotWanted(problem)
        },
      }
    },
    close() {},
  }
}

/** The certificates that came beside a peer's own; the last one names itself as its issuer. */
function sentBeside(peer: PeerCertificate | DetailedPeerCertificate): X509Certificate[] {
  const sent: X509Certificate[] = []
  let at = 'issuerCertificate' in peer ? peer.issuerCertificate : undefined
  while (at?.raw !== undefined && sent.length < 100) {
    sent.push(new X509Certificate(at.raw))
    at = at.issuerCertificate === at ? undefined : at.issuerCertificate
  }
  return sent
}

/** A connection of which nothing is known but whose it is. */
function recordOf(client: ProxiedClient): ConnectionRecord {
  const record = new StreamRecord()
  record.downstreamRemoteAddress = client.remoteAddress
  record.downstreamRemotePort = client.remotePort
  return new ConnectionRecord({ ...client, id: 0, tls: null, serverName: '' }, record)
}

/** A transport socket behind a PROXY header. */
function behindPrelude(source: ProxyProtocolUpstreamTransport, path: string, secrets: SecretStore): UpstreamTls {
  if (source.transportSocket === undefined) throw invalid(`${path}.transport_socket`, 'must be set')
  const inner = compileUpstreamTls(source.transportSocket, `${path}.transport_socket`, secrets)
  const pass = source.config?.passThroughTlvs
  const added = compileTlvs(source.config?.addedTlvs ?? [], `${path}.config.added_tlvs`)
  return {
    alpn: inner?.alpn ?? [],
    keyLog: inner?.keyLog ?? null,
    remember: (session, socket, hostname, names) => inner?.remember(session, socket, hostname, names),
    prelude: {
      version: source.config?.version === Version.V2 ? 2 : 1,
      added: (client) => added(recordOf(client)),
      passes: ({ type }: Tlv) => pass !== undefined && (pass.matchType === PassTlvs.INCLUDE_ALL || pass.tlvType.includes(type)),
    },
    connectOptions: (hostname, names) => inner?.connectOptions(hostname, names) ?? null,
    judge: (socket, hostname, names) => inner?.judge(socket, hostname, names) ?? null,
    close: () => inner?.close(),
  }
}
