import { forgetDescriptors } from '@weft/contracts/descriptors'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { expect, test } from 'vitest'
import { certificatesInUse } from './certificates.ts'

/** A cluster whose TLS has a certificate of its own. */
function clusterWith(certificate: string) {
  const context = UpstreamTlsContext.fromPartial({
    commonTlsContext: {
      tlsCertificates: [{ certificateChain: { specifier: { $case: 'inlineString', value: certificate } } }],
    },
  })
  const typedConfig = {
    typeUrl: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    value: Buffer.from(UpstreamTlsContext.encode(context).finish()),
  }
  const message = Cluster.fromPartial({
    name: 'a',
    transportSocket: { name: 'tls', configType: { $case: 'typedConfig', value: typedConfig } },
  })
  return { message, bytes: Buffer.from(Cluster.encode(message).finish()) }
}

test('a resource is looked through once, however often its certificates are asked for', () => {
  let clusters = [clusterWith('one')]
  const inUse = (): string[] =>
    certificatesInUse({
      listeners: { active: () => [] },
      clusters: { active: () => clusters },
      secrets: { shown: () => undefined },
    }).flatMap(({ holder, chain }) => chain.map(({ pem }) => `${holder} ${pem}`))
  expect(inUse()).toEqual(['cluster.a one'])
  expect(forgetDescriptors(0)).toBe(true)
  expect(inUse()).toEqual(['cluster.a one'])
  expect(forgetDescriptors(0)).toBe(false)
  clusters = [clusterWith('two')]
  expect(inUse()).toEqual(['cluster.a two'])
})
