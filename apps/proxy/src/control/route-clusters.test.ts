import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import { expect, test } from 'vitest'
import { checkFetchedClusters } from './route-clusters.ts'

function configuration(action: object, validateClusters: boolean | undefined): Uint8Array {
  const route = { action: { $case: 'route' as const, value: action } }
  return RouteConfiguration.encode(
    RouteConfiguration.fromPartial({ validateClusters, virtualHosts: [{ name: 'v', domains: ['*'], routes: [route] }] }),
  ).finish()
}

const has = (name: string) => name === 'a'
const one = (value: string) => ({ clusterSpecifier: { $case: 'cluster' as const, value } })

test.each([
  ['a cluster', one('b')],
  [
    'one of several weighted',
    { clusterSpecifier: { $case: 'weightedClusters', value: { clusters: [{ name: 'a' }, { name: 'b' }] } } },
  ],
  ["a mirror's cluster", { ...one('a'), requestMirrorPolicies: [{ cluster: 'b' }] }],
])('%s that is not there is refused where it is asked for', (_, action) => {
  expect(() => checkFetchedClusters(configuration(action, true), has)).toThrow("unknown cluster 'b'")
  expect(() => checkFetchedClusters(configuration(action, undefined), has)).not.toThrow()
})

test('clusters that requests name are not known before', () => {
  const action = { clusterSpecifier: { $case: 'clusterHeader', value: 'x-to' } }
  expect(() => checkFetchedClusters(configuration(action, true), has)).not.toThrow()
  expect(() => checkFetchedClusters(configuration(one('a'), true), has)).not.toThrow()
})
