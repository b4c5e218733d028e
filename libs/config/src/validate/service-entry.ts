import { isIP } from 'node:net'
import type { ServiceEntry } from '@weft/contracts/istio/networking/v1alpha3/service_entry'
import type { WorkloadEntry } from '@weft/contracts/istio/networking/v1alpha3/workload_entry'
import { checkExportTo, checkWildcardHost, hostProblem, isAddressOrBlock, isUnixAddress } from './hosts.ts'
import type { Report } from './report.ts'
import { checkLabels, checkPort, checkPortName, checkProtocol, checkSelector } from './scalars.ts'

type Resolution = 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS'
const resolutions: readonly Resolution[] = ['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']

/** The rules of a ServiceEntry. */
export function checkServiceEntry(spec: ServiceEntry, namespace: string, report: Report): void {
  const resolution = resolutions[spec.resolution] ?? 'NONE'
  checkHosts(spec, report)
  checkAddresses(spec, report)
  checkPorts(spec, resolution, report)
  if (spec.workloadSelector !== undefined) {
    checkSelector(spec.workloadSelector.labels, report.at('workloadSelector', 'labels'))
    if (spec.endpoints.length > 0) report.at('endpoints').error('endpoints and workloadSelector exclude each other')
    if (resolution === 'NONE')
      report.at('workloadSelector').warn('with resolution NONE the workloadSelector is not used', 'set resolution: STATIC')
    else if (resolution === 'DNS_ROUND_ROBIN') report.at('workloadSelector').error('workloadSelector is not for DNS_ROUND_ROBIN')
  }
  checkEndpoints(spec, resolution, report)
  if (resolution === 'DYNAMIC_DNS') checkDynamicDns(spec, report)
  checkExportTo(spec.exportTo, namespace, report, { serviceEntry: true })
}

function checkHosts({ hosts }: ServiceEntry, report: Report): void {
  if (hosts.length === 0) report.at('hosts').error('a ServiceEntry must have at least one host')
  for (const [index, host] of hosts.entries()) {
    const at = report.at('hosts', index)
    if (host === '*') at.error('invalid host *', 'name a domain')
    else checkWildcardHost(host, at)
    if (/^\*[^.]/.test(host) && host !== '*')
      at.warn(`partial wildcard "${host}" does not match Server Names of TLS`, 'write *.domain')
    if (hosts.indexOf(host) < index) at.error(`host ${host} is given twice`)
  }
}

function checkAddresses(spec: ServiceEntry, report: Report): void {
  for (const [index, address] of spec.addresses.entries()) {
    if (!isAddressOrBlock(address)) report.at('addresses', index).error(`"${address}" is no IP address and no CIDR block`)
    else if (address.includes('/') && spec.resolution !== 0)
      report.at('addresses', index).error('CIDR blocks are for resolution NONE alone')
  }
  const encrypted = spec.ports.some(({ protocol }) => ['HTTPS', 'TLS'].includes(protocol.toUpperCase()))
  if (spec.addresses.length > 0 && encrypted && spec.hosts.length > 1) {
    report.at('hosts').warn('several hosts share the addresses: TLS connections to any of them may reach the others')
  }
}

function checkPorts(spec: ServiceEntry, resolution: Resolution, report: Report): void {
  const names = new Set<string>()
  const numbers = new Set<number>()
  for (const [index, port] of spec.ports.entries()) {
    const at = report.at('ports', index)
    checkPortName(port.name, at.at('name'))
    checkPort(port.number, at.at('number'))
    checkProtocol(port.protocol, at.at('protocol'))
    if (names.has(port.name)) at.at('name').error(`duplicate port name "${port.name}"`)
    if (numbers.has(port.number)) at.at('number').error(`duplicate port number ${port.number}`)
    names.add(port.name)
    numbers.add(port.number)
    if (port.targetPort !== 0) {
      checkPort(port.targetPort, at.at('targetPort'))
      if (resolution === 'NONE') at.at('targetPort').warn('targetPort is not used with resolution NONE', 'set resolution: STATIC')
    }
    if (spec.addresses.length === 0 && port.protocol === '') {
      const message = 'without a protocol and without addresses this port is opaque TCP, and takes all traffic to its number'
      at.at('protocol').warn(message, 'name its protocol')
    }
  }
}

function checkEndpoints(spec: ServiceEntry, resolution: Resolution, report: Report): void {
  const { endpoints } = spec
  const at = report.at('endpoints')
  if (resolution === 'NONE' && endpoints.length > 0) at.error('no endpoints should be provided for resolution type NONE')
  if (resolution === 'STATIC' && endpoints.length === 0 && spec.workloadSelector === undefined) {
    at.warn('a ServiceEntry of resolution STATIC has no endpoints', 'give endpoints, or a workloadSelector')
  }
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1)
    at.error('there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN')
  if (resolution === 'DYNAMIC_DNS' && endpoints.length > 0)
    at.error('no endpoints should be provided for resolution type DYNAMIC_DNS')
  if (
    (resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN') &&
    endpoints.length === 0 &&
    spec.workloadSelector === undefined
  ) {
    for (const [index, host] of spec.hosts.entries()) {
      if (host.startsWith('*')) report.at('hosts', index).error('a wildcard host cannot be resolved', 'give endpoints')
    }
  }
  const names = new Set(spec.ports.map(({ name }) => name))
  for (const [index, endpoint] of endpoints.entries()) checkEndpoint(endpoint, resolution, names, at.at(index))
}

function checkEndpoint(endpoint: WorkloadEntry, resolution: Resolution, names: ReadonlySet<string>, report: Report): void {
  const { address } = endpoint
  const at = report.at('address')
  if (address.startsWith('unix:')) {
    if (resolution !== 'STATIC') at.error('unix addresses are for resolution STATIC alone')
    else if (!isUnixAddress(address)) at.error('a unix address is absolute: unix:///path')
    if (Object.keys(endpoint.ports).length > 0) report.at('ports').error('a unix address has no ports')
  } else if (resolution === 'STATIC') {
    if (isIP(address) === 0 && !(address === '' && endpoint.network !== ''))
      at.error(`"${address}" is no IP address, as resolution STATIC needs`, 'or set resolution: DNS')
  } else if (isIP(address) === 0) {
    const problem = hostProblem(address, false)
    if (problem !== undefined) at.error(problem)
  }
  for (const [name, number] of Object.entries(endpoint.ports)) {
    if (!names.has(name)) report.at('ports', name).error(`no port of the ServiceEntry is called "${name}"`)
    checkPort(number, report.at('ports', name))
  }
  checkLabels(endpoint.labels, report.at('labels'))
}

function checkDynamicDns(spec: ServiceEntry, report: Report): void {
  for (const [index, host] of spec.hosts.entries()) {
    if (!host.startsWith('*'))
      report.at('hosts', index).error('resolution DYNAMIC_DNS is for wildcard hosts', 'set resolution: DNS')
  }
  for (const [index, { protocol }] of spec.ports.entries()) {
    if (!['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTPS', 'TLS'].includes(protocol.toUpperCase())) {
      report
        .at('ports', index, 'protocol')
        .error(`resolution DYNAMIC_DNS does not know the host of ${protocol || 'an unnamed protocol'}`)
    }
  }
}
