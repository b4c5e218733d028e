import { isIP } from 'node:net'
import type {
  IstioEgressListener,
  IstioIngressListener,
  Sidecar,
  SidecarPort,
} from '@weft/contracts/istio/networking/v1alpha3/sidecar'
import { checkConnectionPool } from './connection-pool.ts'
import { checkDestination } from './destination.ts'
import { checkNamespacedHost, isUnixAddress } from './hosts.ts'
import type { Report } from './report.ts'
import { checkPort, checkProtocol, checkSelector } from './scalars.ts'
import { checkServerTls } from './server-tls.ts'

/** The rules of a Sidecar. */
export function checkSidecar(spec: Sidecar, report: Report): void {
  const { ingress, egress, outboundTrafficPolicy } = spec
  if (spec.workloadSelector !== undefined) checkSelector(spec.workloadSelector.labels, report.at('workloadSelector', 'labels'))
  if (
    ingress.length === 0 &&
    egress.length === 0 &&
    outboundTrafficPolicy === undefined &&
    spec.inboundConnectionPool === undefined
  ) {
    report.error('a Sidecar must have ingress, egress, outboundTrafficPolicy or inboundConnectionPool')
  }
  const ports = new Set<number>()
  for (const [index, listener] of ingress.entries()) {
    const at = report.at('ingress', index)
    checkIngress(listener, at)
    const number = listener.port?.number ?? 0
    if (number !== 0 && ports.has(number)) at.at('port', 'number').error(`port ${number} has an ingress listener already`)
    ports.add(number)
  }
  checkAllEgress(egress, report)
  if (spec.inboundConnectionPool !== undefined)
    checkConnectionPool(spec.inboundConnectionPool, report.at('inboundConnectionPool'))
  const proxy = outboundTrafficPolicy?.egressProxy
  if (proxy === undefined) return
  const at = report.at('outboundTrafficPolicy', 'egressProxy')
  if (outboundTrafficPolicy?.mode !== 1) at.error('egressProxy needs mode ALLOW_ANY')
  if (proxy.port === undefined) at.at('port').error('egressProxy must have a port')
  checkDestination(proxy, at)
}

function checkIngress(listener: IstioIngressListener, report: Report): void {
  const { port, bind, defaultEndpoint, tls } = listener
  if (port === undefined) report.at('port').error('port is required')
  else {
    checkPort(port.number, report.at('port', 'number'))
    checkProtocol(port.protocol, report.at('port', 'protocol'))
  }
  checkBind(bind, port, false, report)
  if (defaultEndpoint !== '') checkDefaultEndpoint(defaultEndpoint, report.at('defaultEndpoint'))
  if (listener.connectionPool !== undefined) checkConnectionPool(listener.connectionPool, report.at('connectionPool'))
  if (tls === undefined) return
  const at = report.at('tls')
  const istioMutual = 4
  const autoPassthrough = 3
  if (tls.mode === istioMutual || tls.mode === autoPassthrough || tls.mode === 0) {
    at.at('mode').error(
      'a Sidecar takes SIMPLE, MUTUAL or OPTIONAL_MUTUAL',
      'mutual TLS of the mesh is set by PeerAuthentication',
    )
  }
  if (!['HTTPS', 'TLS'].includes(port?.protocol.toUpperCase() ?? '')) at.error('TLS settings need the protocol HTTPS or TLS')
  if (tls.httpsRedirect) at.at('httpsRedirect').error('a Sidecar does not redirect')
  if (tls.subjectAltNames.length > 0) at.at('subjectAltNames').error('subjectAltNames are not supported in a Sidecar')
  if (tls.credentialNames.length > 0) at.at('credentialNames').error('credentialNames are not supported in a Sidecar')
  if (tls.tlsCertificates.length > 0) at.at('tlsCertificates').error('tlsCertificates are not supported in a Sidecar')
  checkServerTls(tls, at)
}

/** `127.0.0.1:port`, `[::1]:port`, `0.0.0.0:port`, `[::]:port` or a unix socket. */
function checkDefaultEndpoint(endpoint: string, report: Report): void {
  if (endpoint.startsWith('unix:')) {
    if (!isUnixAddress(endpoint)) report.error('a unix address is absolute: unix:///path')
    return
  }
  const match = /^(127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\]):(\d{1,5})$/.exec(endpoint)
  if (match === null)
    report.error(`defaultEndpoint "${endpoint}" is not on the workload itself`, '127.0.0.1:PORT, 0.0.0.0:PORT or unix:///path')
  else checkPort(Number(match[2]), report)
}

function checkBind(bind: string, port: SidecarPort | undefined, unixAllowed: boolean, report: Report): void {
  if (bind === '') return
  if (bind.startsWith('unix:')) {
    if (!unixAllowed) report.at('bind').error('unix addresses are for egress alone')
    else if (!isUnixAddress(bind)) report.at('bind').error('a unix address is absolute: unix:///path')
    else if (port !== undefined && port.number !== 0) report.at('port', 'number').error('a unix address has port number 0')
  } else if (isIP(bind) === 0) report.at('bind').error(`"${bind}" is no IP address, nor unix:///path`)
}

function checkAllEgress(egress: readonly IstioEgressListener[], report: Report): void {
  const seen = new Set<string>()
  for (const [index, listener] of egress.entries()) {
    const { hosts, port, bind } = listener
    const at = report.at('egress', index)
    if (hosts.length === 0) at.at('hosts').error('an egress listener must have at least one host')
    for (const [which, host] of hosts.entries()) checkNamespacedHost(host, 'sidecar', at.at('hosts', which))
    if (hosts.includes('*/*') && hosts.length > 1) at.at('hosts').warn('*/* stands for all hosts: the others add nothing')
    checkBind(bind, port, true, at)
    if (port === undefined) {
      if (bind !== '') at.at('port').error('a listener with a bind address must have a port')
      if (index !== egress.length - 1) at.error('the egress listener without a port takes all the rest: it must come last')
      continue
    }
    if (!bind.startsWith('unix:')) checkPort(port.number, at.at('port', 'number'))
    checkProtocol(port.protocol, at.at('port', 'protocol'))
    const key = `${bind}:${port.number}`
    if (seen.has(key)) at.at('port', 'number').error(`${key} has an egress listener already`)
    seen.add(key)
  }
}
