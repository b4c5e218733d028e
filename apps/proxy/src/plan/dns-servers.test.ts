import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { expect, test } from 'vitest'
import { resource } from '../control/testing/resources.ts'
import { dnsServersOf } from './dns-servers.ts'

const cares = 'type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig'
const server = '{socket_address: {address: 10.0.0.2, port_value: 53}}'

// Istio's control plane names none; Envoy 1.40 takes that for the system's.
test.each([
  ['', []],
  [`resolvers: [${server}]`, ['10.0.0.2:53']],
  [`resolvers: [${server}], use_resolvers_as_fallback: true`, []],
])('the servers of a resolver with { %s }', (settings, servers) => {
  const resolver = `{name: cares, typed_config: {"@type": ${cares}, udp_max_queries: 100${settings === '' ? '' : `, ${settings}`}}}`
  const { bytes } = resource('cluster', `{name: a, type: STRICT_DNS, typed_dns_resolver_config: ${resolver}}`)
  expect(dnsServersOf(Cluster.decode(bytes).typedDnsResolverConfig, 'Cluster a')).toEqual(servers)
})
