import { Bootstrap } from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { expect, test } from 'vitest'
import { clusterDefaults, withDefaults } from './cluster-defaults.ts'

const from = (address: string) => ({ sourceAddress: { address } })
const resolver = (name: string) => ({ name })
const defaults = clusterDefaults(
  Bootstrap.fromPartial({
    clusterManager: { upstreamBindConfig: from('127.0.0.2') },
    typedDnsResolverConfig: resolver('common'),
  }),
)

test('a cluster that says nothing of its own has what the bootstrap says', () => {
  const { upstreamBindConfig, typedDnsResolverConfig } = withDefaults(Cluster.fromPartial({ name: 'c' }), defaults)
  expect(upstreamBindConfig?.sourceAddress?.address).toBe('127.0.0.2')
  expect(typedDnsResolverConfig?.name).toBe('common')
})

test('what a cluster says itself counts as a whole', () => {
  const cluster = Cluster.fromPartial({ upstreamBindConfig: {}, typedDnsResolverConfig: resolver('own') })
  expect(withDefaults(cluster, defaults)).toBe(cluster)
})

test('without any, a cluster stays as it is', () => {
  const cluster = Cluster.fromPartial({ name: 'c' })
  expect(withDefaults(cluster, clusterDefaults(Bootstrap.fromPartial({})))).toBe(cluster)
})
