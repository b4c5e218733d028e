import type { ConnectionPoolSettings } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { Report } from './report.ts'
import { checkDuration, checkNotNegative } from './scalars.ts'

/** Limits of connections and requests. */
export function checkConnectionPool({ tcp, http }: ConnectionPoolSettings, report: Report): void {
  if (tcp === undefined && http === undefined) report.error('a connection pool must have at least one field')
  if (tcp !== undefined) {
    const at = report.at('tcp')
    checkNotNegative(tcp.maxConnections, 'maxConnections', at.at('maxConnections'))
    checkDuration(tcp.connectTimeout, at.at('connectTimeout'))
    checkDuration(tcp.maxConnectionDuration, at.at('maxConnectionDuration'))
    checkDuration(tcp.idleTimeout, at.at('idleTimeout'), 0)
    checkDuration(tcp.tcpKeepalive?.time, at.at('tcpKeepalive', 'time'))
    checkDuration(tcp.tcpKeepalive?.interval, at.at('tcpKeepalive', 'interval'))
  }
  if (http === undefined) return
  const at = report.at('http')
  const counts = [
    'http1MaxPendingRequests',
    'http2MaxRequests',
    'maxRequestsPerConnection',
    'maxRetries',
    'maxConcurrentStreams',
  ] as const
  for (const field of counts) checkNotNegative(http[field], field, at.at(field))
  checkDuration(http.idleTimeout, at.at('idleTimeout'), 0)
  if (http.h2UpgradePolicy === 2 && http.useClientProtocol) {
    at.at('useClientProtocol').error('useClientProtocol must not be true when h2UpgradePolicy is UPGRADE')
  }
  const keepAlive = http.http2KeepAlive
  if (keepAlive === undefined) return
  for (const field of ['interval', 'timeout'] as const) {
    if (keepAlive[field] === undefined)
      at.at('http2KeepAlive', field).error('HTTP/2 keepalive must have an interval and a timeout')
    checkDuration(keepAlive[field], at.at('http2KeepAlive', field))
  }
}
