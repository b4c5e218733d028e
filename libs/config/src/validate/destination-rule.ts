import type {
  ClientTLSSettings,
  DestinationRule,
  TrafficPolicy,
} from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import { checkConnectionPool } from './connection-pool.ts'
import { checkExportTo, checkWildcardHost, isDnsLabel } from './hosts.ts'
import { checkLoadBalancer } from './load-balancer.ts'
import { checkOutlierDetection } from './outlier-detection.ts'
import type { Report } from './report.ts'
import { checkLabels, checkPort, checkSelector } from './scalars.ts'

/** The rules of a DestinationRule. */
export function checkDestinationRule(spec: DestinationRule, namespace: string, report: Report): void {
  checkWildcardHost(spec.host, report.at('host'))
  if (spec.trafficPolicy !== undefined) checkTrafficPolicy(spec.trafficPolicy, report.at('trafficPolicy'))
  const names = new Set<string>()
  for (const [index, subset] of spec.subsets.entries()) {
    const at = report.at('subsets', index)
    if (!isDnsLabel(subset.name)) at.at('name').error(`subset name "${subset.name}" is invalid`, 'letters, digits and "-"')
    else if (names.has(subset.name)) at.at('name').error(`subset "${subset.name}" is defined twice`)
    names.add(subset.name)
    checkLabels(subset.labels, at.at('labels'))
    if (subset.trafficPolicy !== undefined) checkTrafficPolicy(subset.trafficPolicy, at.at('trafficPolicy'))
  }
  if (spec.workloadSelector !== undefined)
    checkSelector(spec.workloadSelector.matchLabels, report.at('workloadSelector', 'matchLabels'))
  checkExportTo(spec.exportTo, namespace, report, { onlyOwnNamespace: spec.workloadSelector !== undefined })
}

type Settings = Pick<TrafficPolicy, 'loadBalancer' | 'connectionPool' | 'outlierDetection' | 'tls'>

function checkTrafficPolicy(policy: TrafficPolicy, report: Report): void {
  const { tunnel, proxyProtocol, retryBudget, portLevelSettings } = policy
  const extra = [tunnel, proxyProtocol, retryBudget].some((part) => part !== undefined)
  if (!extra && portLevelSettings.length === 0 && isEmpty(policy)) report.error('a traffic policy must have at least one field')
  checkSettings(policy, report)
  const ports = new Set<number>()
  for (const [index, settings] of portLevelSettings.entries()) {
    const at = report.at('portLevelSettings', index)
    const number = settings.port?.number ?? 0
    if (settings.port === undefined) at.at('port').error('port level settings must have a port')
    else checkPort(number, at.at('port', 'number'))
    if (ports.has(number)) at.at('port').error(`port ${number} has settings already`)
    ports.add(number)
    if (isEmpty(settings)) at.error('port level settings must have at least one field besides the port')
    checkSettings(settings, at)
  }
  if (tunnel !== undefined) {
    const at = report.at('tunnel')
    if (tunnel.protocol !== '' && tunnel.protocol !== 'CONNECT' && tunnel.protocol !== 'POST')
      at.at('protocol').error('protocol is CONNECT or POST')
    if (tunnel.targetHost === '') at.at('targetHost').error('the tunnel must have a target host')
    checkPort(tunnel.targetPort, at.at('targetPort'))
    if (proxyProtocol !== undefined) report.at('proxyProtocol').error('tunnel and proxyProtocol exclude each other')
  }
  const percent = retryBudget?.percent
  if (percent !== undefined && !(percent >= 0 && percent <= 100))
    report.at('retryBudget', 'percent').error('must be in range 0..100')
}

function isEmpty({ loadBalancer, connectionPool, outlierDetection, tls }: Settings): boolean {
  return [loadBalancer, connectionPool, outlierDetection, tls].every((part) => part === undefined)
}

function checkSettings({ loadBalancer, connectionPool, outlierDetection, tls }: Settings, report: Report): void {
  if (loadBalancer !== undefined) checkLoadBalancer(loadBalancer, report.at('loadBalancer'))
  if (connectionPool !== undefined) checkConnectionPool(connectionPool, report.at('connectionPool'))
  if (outlierDetection !== undefined) checkOutlierDetection(outlierDetection, report.at('outlierDetection'))
  if (tls !== undefined) checkClientTls(tls, report.at('tls'))
}

const simple = 1
const mutual = 2

function checkClientTls(tls: ClientTLSSettings, report: Report): void {
  const { mode, clientCertificate, privateKey, caCertificates, caCrl, credentialName, subjectAltNames } = tls
  if (mode !== simple && mode !== mutual) return
  if (tls.insecureSkipVerify) {
    for (const [field, given] of [
      ['caCertificates', caCertificates],
      ['caCrl', caCrl],
      ['subjectAltNames', subjectAltNames.join()],
    ] as const) {
      if (given !== '') report.at(field).error(`${field} says what is verified, while insecureSkipVerify says that nothing is`)
    }
  } else if (caCertificates === '' && credentialName === '' && subjectAltNames.length === 0) {
    report.warn(
      'the server is trusted by the authorities of the operating system, under any name',
      'set caCertificates and subjectAltNames',
    )
  }
  if (credentialName !== '') {
    if (clientCertificate !== '' || privateKey !== '' || caCertificates !== '' || caCrl !== '') {
      report.error('credentialName and certificate files exclude each other')
    }
    return
  }
  if (mode !== mutual) return
  if (clientCertificate === '') report.at('clientCertificate').error('MUTUAL requires a client certificate')
  if (privateKey === '') report.at('privateKey').error('MUTUAL requires a private key')
}
