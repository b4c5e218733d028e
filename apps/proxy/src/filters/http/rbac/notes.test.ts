import { Permission, Principal, RBAC_Action } from '@weft/contracts/envoy/config/rbac/v3/rbac'
import { Config } from '@weft/contracts/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata'
import { RBAC } from '@weft/contracts/envoy/extensions/filters/http/rbac/v3/rbac'
import { afterEach, expect, test } from 'vitest'
import { cluster, connectionManager, httpFilter, listener, routerFilter, routeTo } from '../../../testing/resources.ts'
import { ask, Upstream, WorkerHarness } from '../../../testing/worker-harness.ts'

const namespace = 'envoy.filters.http.rbac'
const opened: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

test('what a filter adds to the metadata of a verdict is of its own request only', async () => {
  const upstream = new Upstream()
  const harness = new WorkerHarness()
  opened.push(harness, upstream)
  const permissions = [Permission.fromPartial({ rule: { $case: 'any', value: true } })]
  const principals = [Principal.fromPartial({ identifier: { $case: 'any', value: true } })]
  const rbac = RBAC.fromPartial({ rules: { action: RBAC_Action.ALLOW, policies: { all: { permissions, principals } } } })
  const toMetadata = Config.fromPartial({
    requestRules: [{ header: 'x-more', onHeaderPresent: { metadataNamespace: namespace, key: 'more' } }],
  })
  const type = 'envoy.extensions.filters.http'
  const filters = connectionManager([routeTo('origin')], {
    routeSpecifier: {
      $case: 'routeConfig',
      value: {
        virtualHosts: [{ name: 'all', domains: ['*'], routes: [routeTo('origin')] }],
        requestHeadersToAdd: [{ header: { key: 'x-noted', value: `%DYNAMIC_METADATA(${namespace})%` } }],
      },
    },
    httpFilters: [
      httpFilter(namespace, `${type}.rbac.v3.RBAC`, RBAC.encode(rbac).finish()),
      httpFilter('more', `${type}.header_to_metadata.v3.Config`, Config.encode(toMetadata).finish()),
      routerFilter,
    ],
  })
  expect(await harness.apply(cluster('origin', [await upstream.listen()]), listener('in', [{ filters: [filters] }]))).toEqual([])
  for (const headers of [{}, { 'x-more': 'yes' }, {}]) await ask(harness.port('in'), '/', { headers })
  const verdict = { enforced_effective_policy_id: 'all', enforced_engine_result: 'allowed' }
  const noted = upstream.requests.map(({ headers }) => JSON.parse(String(headers['x-noted'])) as unknown)
  expect(noted).toEqual([verdict, { ...verdict, more: 'yes' }, verdict])
})
