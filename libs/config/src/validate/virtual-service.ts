import { isIP } from 'node:net'
import type {
  L4MatchAttributes,
  TCPRoute,
  TLSRoute,
  VirtualService,
} from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { checkDestination, checkWeights } from './destination.ts'
import { checkExportTo, hostProblem, hostsOverlap, isAddressOrBlock } from './hosts.ts'
import { checkHttpRoute } from './http-route.ts'
import type { Report } from './report.ts'
import { checkLabels, checkPort } from './scalars.ts'
import { warnUnreachable } from './unreachable-routes.ts'

/** The rules of a VirtualService; one without hosts is a delegate. */
export function checkVirtualService(spec: VirtualService, namespace: string, report: Report): void {
  const delegate = spec.hosts.length === 0
  const mesh = spec.gateways.length === 0 || spec.gateways.includes('mesh')
  const gateway = spec.gateways.some((name) => name !== 'mesh')
  if (delegate) {
    if (spec.gateways.length > 0)
      report.at('gateways').error('a delegate (without hosts) must have no gateways', 'name its hosts')
    if (spec.tcp.length > 0 || spec.tls.length > 0)
      report.error('a delegate (without hosts) has http routes alone', 'name its hosts')
  }
  checkHosts(spec.hosts, mesh, report)
  checkGateways(spec.gateways, report)
  if (spec.http.length + spec.tcp.length + spec.tls.length === 0)
    report.error('http, tcp or tls must be provided in a VirtualService')
  for (const [index, route] of spec.http.entries()) checkHttpRoute(route, { delegate, gateway }, report.at('http', index))
  for (const [index, route] of spec.tls.entries()) checkTlsRoute(route, spec.hosts, report.at('tls', index))
  for (const [index, route] of spec.tcp.entries()) checkTcpRoute(route, report.at('tcp', index))
  warnUnreachable(spec.http, report.at('http'))
  checkExportTo(spec.exportTo, namespace, report)
}

function checkHosts(hosts: readonly string[], mesh: boolean, report: Report): void {
  for (const [index, host] of hosts.entries()) {
    const at = report.at('hosts', index)
    if (isIP(host) !== 0) continue
    const problem = hostProblem(host, true)
    if (problem !== undefined) at.error(problem)
    else if (host === '*' && mesh)
      at.error('wildcard host * is not allowed for virtual services bound to the mesh gateway', 'name a gateway')
    const other = hosts.slice(0, index).find((earlier) => hostsOverlap(earlier, host))
    if (other !== undefined) at.error(`duplicate hosts in a VirtualService: ${other} and ${host}`, 'keep the wider one')
  }
}

function checkGateways(gateways: readonly string[], report: Report): void {
  for (const [index, name] of gateways.entries()) {
    const parts = name.split('/')
    const valid =
      parts.length <= 2 &&
      parts.every((part, at) => (at === 0 && part === '.' && parts.length === 2) || hostProblem(part, false) === undefined)
    if (!valid) report.at('gateways', index).error(`"${name}" is no gateway: name, or namespace/name`)
  }
}

function checkTlsRoute(route: TLSRoute, hosts: readonly string[], report: Report): void {
  if (route.match.length === 0)
    report.error('a TLS route must have at least one match on sniHosts', 'write match: [{ sniHosts: … }]')
  for (const [index, match] of route.match.entries()) {
    const at = report.at('match', index)
    if (match.sniHosts.length === 0) at.error('TLS match must have at least one SNI host')
    for (const [which, sni] of match.sniHosts.entries()) {
      const problem = hostProblem(sni, true)
      if (problem !== undefined) at.at('sniHosts', which).error(problem)
      else if (!hosts.some((host) => hostsOverlap(host, sni))) {
        at.at('sniHosts', which).error(`SNI host "${sni}" is not among the hosts of the VirtualService`)
      }
    }
    checkL4Match(match, at)
  }
  checkDestinations(route.route, report)
}

function checkTcpRoute(route: TCPRoute, report: Report): void {
  for (const [index, match] of route.match.entries()) {
    const at = report.at('match', index)
    checkL4Match(match, at)
    if (match.sourceSubnet !== '' && !isAddressOrBlock(match.sourceSubnet))
      at.at('sourceSubnet').error('must be an address or a CIDR block')
  }
  checkDestinations(route.route, report)
}

function checkL4Match(
  match: Pick<L4MatchAttributes, 'destinationSubnets' | 'port' | 'sourceLabels' | 'gateways'>,
  report: Report,
): void {
  for (const [index, block] of match.destinationSubnets.entries()) {
    if (!isAddressOrBlock(block)) report.at('destinationSubnets', index).error(`"${block}" is no address and no CIDR block`)
  }
  if (match.port !== 0) checkPort(match.port, report.at('port'))
  checkLabels(match.sourceLabels, report.at('sourceLabels'))
  checkGateways(match.gateways, report)
}

function checkDestinations(route: TCPRoute['route'], report: Report): void {
  if (route.length === 0) report.at('route').error('a TCP or TLS route must have a destination')
  for (const [index, weighted] of route.entries())
    checkDestination(weighted.destination, report.at('route', index, 'destination'))
  checkWeights(route, report)
}
