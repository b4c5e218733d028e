import { isIP } from 'node:net'
import type { WorkloadEntry, WorkloadGroup } from '@weft/contracts/istio/networking/v1alpha3/workload_entry'
import { checkHost, isUnixAddress } from './hosts.ts'
import type { Report } from './report.ts'
import { checkLabels, checkPort, checkPortName } from './scalars.ts'

/** The rules of a WorkloadEntry; in a WorkloadGroup the address comes later. */
export function checkWorkloadEntry(spec: WorkloadEntry, report: Report, template = false): void {
  const { address } = spec
  const at = report.at('address')
  if (address === '') {
    if (spec.network !== '') at.warn('without an address the workload is reached through the gateway of its network')
    else if (!template) at.error('address must be set')
  } else if (address.startsWith('unix:')) {
    if (!isUnixAddress(address)) at.error('a unix address is absolute: unix:///path')
    if (Object.keys(spec.ports).length > 0) report.at('ports').error('a unix address has no ports')
  } else if (isIP(address) === 0) checkHost(address, at)
  for (const [name, number] of Object.entries(spec.ports)) {
    checkPortName(name, report.at('ports', name))
    checkPort(number, report.at('ports', name))
  }
  checkLabels(spec.labels, report.at('labels'))
}

/** The rules of a WorkloadGroup. */
export function checkWorkloadGroup(spec: WorkloadGroup, report: Report): void {
  if (spec.template === undefined) report.at('template').error('template is required')
  else checkWorkloadEntry(spec.template, report.at('template'), true)
  if (spec.metadata !== undefined) checkLabels(spec.metadata.labels, report.at('metadata', 'labels'))
  const { probe } = spec
  if (probe === undefined) return
  const at = report.at('probe')
  for (const field of [
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
    'initialDelaySeconds',
  ] as const) {
    if (probe[field] < 0) at.at(field).error(`${field} must not be negative`)
  }
  const method = probe.healthCheckMethod
  if (method?.$case === 'httpGet') {
    for (const [index, { name }] of method.value.httpHeaders.entries()) {
      if (!/^[-\w]+$/.test(name)) at.at('httpGet', 'httpHeaders', index, 'name').error(`"${name}" is no header name`)
    }
  }
  switch (method?.$case) {
    case 'httpGet':
    case 'tcpSocket':
    case 'grpc':
      checkPort(method.value.port, at.at(method.$case, 'port'))
      return
    case 'exec':
      if (method.value.command.length === 0) at.at('exec', 'command').error('the command may not be empty')
      return
    default:
      at.error('a probe must have httpGet, tcpSocket, exec or grpc')
  }
}
