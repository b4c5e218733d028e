import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { expect, test } from 'vitest'
import { SecretStore } from '../plan/secret-store.ts'
import type { ClusterState } from './clusters.ts'
import { clusterTls, controlPlaneClusters } from './control-plane-clusters.ts'
import { resource } from './testing/resources.ts'

const tlsContext = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'

test('who has a transport socket of its own by its metadata is checked by that one', () => {
  const { bytes } = resource(
    'cluster',
    `{name: a, type: STATIC, transport_socket_matches: [{name: m, match: {mode: tls},
      transport_socket: {name: tls, typed_config: {"@type": ${tlsContext}, sni: inside}}}]}`,
  )
  const cluster = { name: 'a', bytes, message: Cluster.decode(bytes) } as ClusterState
  const tlsOf = clusterTls(new SecretStore())
  expect(tlsOf(cluster)).toBe(null)
  expect(tlsOf(cluster, { 'envoy.transport_socket_match': { mode: 'plain' } })).toBe(null)
  const tls = tlsOf(cluster, { 'envoy.transport_socket_match': { mode: 'tls' } })
  expect(tls?.connectOptions('', null)).toMatchObject({ servername: 'inside' })
  expect(tlsOf(cluster, { 'envoy.transport_socket_match': { mode: 'tls' } })).toBe(tls)
})

test('a pipe is told by its path, a relative one too', async () => {
  const endpoint = (address: string) => `{endpoint: {address: ${address}}}`
  const addresses = [
    '{pipe: {path: ./etc/proxy/XDS}}',
    '{pipe: {path: /run/xds}}',
    "{pipe: {path: '@abstract'}}",
    '{socket_address: {address: "::1", port_value: 7}}',
  ]
  const { bytes } = resource(
    'cluster',
    `{name: a, type: STATIC, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [${addresses.map(endpoint).join()}]}]}}`,
  )
  const message = Cluster.decode(bytes)
  const cluster = { name: 'a', bytes, message, assignment: message.loadAssignment } as ClusterState
  const clusters = { whenLive: async () => cluster }
  const find = controlPlaneClusters(() => ({ clusters, secrets: { store: new SecretStore() } }))
  const found = ['unix:./etc/proxy/XDS', 'unix:/run/xds', 'unix:@abstract', '[::1]:7']
  expect(await find('a')).toEqual({ addresses: found, tls: null })
})
