import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { expect, test } from 'vitest'
import { SecretStore } from '../plan/secret-store.ts'
import type { ClusterState } from './clusters.ts'
import { clusterTls } from './control-plane-clusters.ts'
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
