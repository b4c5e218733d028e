import type { PeerAuthentication } from '@weft/contracts/istio/security/v1beta1/peer_authentication'
import { isRecord } from '../document.ts'
import type { Report } from './report.ts'
import { checkPort, checkSelector } from './scalars.ts'

/** The rules of a PeerAuthentication; `raw` is its spec as written, which tells an empty map from none. */
export function checkPeerAuthentication(spec: PeerAuthentication, raw: unknown, report: Report): void {
  const labels = spec.selector?.matchLabels ?? {}
  if (spec.selector !== undefined) checkSelector(labels, report.at('selector', 'matchLabels'))
  const ports = Object.keys(spec.portLevelMtls)
  const written = isRecord(raw) ? (raw['portLevelMtls'] ?? raw['port_level_mtls']) : undefined
  const at = report.at('portLevelMtls')
  if (written !== undefined && written !== null && ports.length === 0)
    at.error('portLevelMtls, if defined, must have at least one element')
  if (ports.length > 0 && Object.keys(labels).length === 0)
    at.error('portLevelMtls needs a selector: it is for chosen workloads', 'add selector.matchLabels')
  for (const port of ports) checkPort(Number(port), at.at(port))
}
