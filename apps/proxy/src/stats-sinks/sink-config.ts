import { isIP } from 'node:net'
import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import { DogStatsdSink, StatsdSink, type StatsSink } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { invalid, unsupported } from '../plan/problems.ts'

const defaultPrefix = 'envoy'

/** A statsd server that the statistics are told to. */
export interface StatsdTarget {
  readonly prefix: string
  /** DogStatsD's form: tags apart from names. */
  readonly tags: boolean
  readonly to: { type: 'udp'; host: string; port: number; maxBytes: number } | { type: 'tcp'; cluster: string }
}

/** Reads a bootstrap's `stats_sinks`; `isCluster` knows its clusters. Throws WeftError. */
export function readSinks(sinks: readonly StatsSink[], isCluster: (name: string) => boolean): StatsdTarget[] {
  return sinks.map(({ name, configType }, i) => {
    const path = `stats_sinks[${i}].typed_config`
    const config = configType?.value
    if (config === undefined) throw invalid(path, 'a typed_config is needed')
    const type = config.typeUrl.split('/').pop() ?? ''
    if (type === 'envoy.config.metrics.v3.StatsdSink') {
      const { statsdSpecifier: to, prefix } = StatsdSink.decode(config.value)
      const common = { prefix: prefix || defaultPrefix, tags: false }
      if (to?.$case !== 'tcpClusterName') return { ...common, to: udp(to?.value, 0, path) }
      if (!isCluster(to.value)) throw invalid(`${path}.tcp_cluster_name`, `tcp statsd: unknown cluster '${to.value}'`)
      return { ...common, to: { type: 'tcp' as const, cluster: to.value } }
    }
    if (type !== 'envoy.config.metrics.v3.DogStatsdSink') throw unsupported(path, `the stats sink '${type || name}'`)
    const { dogStatsdSpecifier: to, prefix, maxBytesPerDatagram } = DogStatsdSink.decode(config.value)
    return { prefix: prefix || defaultPrefix, tags: true, to: udp(to?.value, maxBytesPerDatagram ?? 0, path) }
  })
}

function udp(source: Address | undefined, maxBytes: number, path: string) {
  const { address } = source ?? {}
  if (address?.$case !== 'socketAddress') throw unsupported(`${path}.address`, 'another than a socket_address')
  const { address: host, portSpecifier } = address.value
  if (isIP(host) === 0) throw invalid(`${path}.address.socket_address.address`, `malformed IP address: ${host}`)
  const port = portSpecifier?.$case === 'portValue' ? portSpecifier.value : 0
  return { type: 'udp' as const, host, port, maxBytes }
}
