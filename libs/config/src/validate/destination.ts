import type { Destination } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { checkWildcardHost, isDnsLabel } from './hosts.ts'
import type { Report } from './report.ts'
import { checkPort } from './scalars.ts'

/** Where a route leads: a host, a subset of it, a port. */
export function checkDestination(destination: Destination | undefined, report: Report): void {
  if (destination === undefined) {
    report.error('destination is required', 'write destination: { host: … }')
    return
  }
  const { host, subset, port } = destination
  if (host === '*') report.at('host').error('invalid destination host "*"')
  else checkWildcardHost(host, report.at('host'))
  if (subset !== '' && !isDnsLabel(subset)) report.at('subset').error(`subset name "${subset}" is invalid`)
  if (port !== undefined) checkPort(port.number, report.at('port', 'number'))
}

/** Weights of several destinations: none negative, not all 0. */
export function checkWeights(weighted: readonly { weight: number }[], report: Report): void {
  let total = 0
  for (const [index, { weight }] of weighted.entries()) {
    if (weight < 0) report.at('route', index, 'weight').error('weight must not be negative')
    total += weight
  }
  if (weighted.length > 1 && total === 0)
    report.at('route').error('total destination weight = 0', 'give each destination its weight')
}
