import { isIP } from 'node:net'
import type { Gateway, Server } from '@weft/contracts/istio/networking/v1alpha3/gateway'
import { checkNamespacedHost, isUnixAddress } from './hosts.ts'
import type { Report } from './report.ts'
import { checkLabels, checkPort, isProtocol } from './scalars.ts'
import { checkServerTls } from './server-tls.ts'

/** The rules of a Gateway. */
export function checkGateway(spec: Gateway, report: Report): void {
  if (spec.servers.length === 0) report.at('servers').error('a gateway must have at least one server')
  checkLabels(spec.selector, report.at('selector'))
  const names = new Set<string>()
  for (const [index, server] of spec.servers.entries()) {
    const at = report.at('servers', index)
    checkServer(server, at)
    const name = server.port?.name ?? ''
    if (name !== '' && names.has(name))
      at.at('port', 'name').error(`port names in servers must be unique: "${name}" is used already`)
    names.add(name)
  }
}

function checkServer(server: Server, report: Report): void {
  const { port, hosts, tls, bind } = server
  if (hosts.length === 0) report.at('hosts').error('server config must contain at least one host')
  for (const [index, host] of hosts.entries()) checkNamespacedHost(host, 'gateway', report.at('hosts', index))
  const unix = bind.startsWith('unix:')
  if (unix ? !isUnixAddress(bind) : bind !== '' && isIP(bind) === 0) {
    report.at('bind').error(`${bind} is not a valid IP, nor unix:///path or unix://@name`)
  }
  if (server.defaultEndpoint !== '') report.at('defaultEndpoint').warn('defaultEndpoint is not used')
  if (port === undefined) {
    report.at('port').error('port is required')
    return
  }
  const at = report.at('port')
  if (!(unix && port.number === 0)) checkPort(port.number, at.at('number'))
  if (port.name === '') at.at('name').error('port name must be set')
  if (!isProtocol(port.protocol))
    at.at('protocol').error(`invalid protocol "${port.protocol}", it must be set`, 'HTTP, HTTPS, TLS, TCP, GRPC, …')
  checkTlsOfPort(server, port.protocol.toUpperCase(), report)
  if (tls !== undefined) checkServerTls(tls, report.at('tls'))
}

function checkTlsOfPort({ tls }: Server, protocol: string, report: Report): void {
  const encrypted = protocol === 'HTTPS' || protocol === 'TLS'
  if (encrypted && tls === undefined) report.at('tls').error('server must have TLS settings for HTTPS/TLS protocols')
  if (tls === undefined) return
  if (tls.httpsRedirect) {
    if (protocol !== 'HTTP') report.at('tls', 'httpsRedirect').warn('tls.httpsRedirect should only be used with http servers')
  } else if (!encrypted && tls.mode !== 0) {
    report.at('tls').error('server cannot have TLS settings for non HTTPS/TLS ports', 'write protocol: HTTPS')
  }
}
