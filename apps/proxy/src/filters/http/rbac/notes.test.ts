import { Permission, Principal, RBAC_Action } from '@weft/contracts/envoy/config/rbac/v3/rbac'
import { Config } from '@weft/contracts/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata'
import { RBAC } from '@weft/contracts/envoy/extensions/filters/http/rbac/v3/rbac'
import { expect, test } from 'vitest'
import { connectionManager, routerFilter, routeTo, typed } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { ask } from '../../../testing/worker-harness.ts'

const namespace = 'envoy.filters.http.rbac'
test('what a filter adds to the metadata of a verdict is of its own request only', async () => {
  const origin = await upstream()
  const permissions = [Permission.fromPartial({ rule: { $case: 'any', value: true } })]
  const principals = [Principal.fromPartial({ identifier: { $case: 'any', value: true } })]
  const rbac = RBAC.fromPartial({ rules: { action: RBAC_Action.ALLOW, policies: { all: { permissions, principals } } } })
  const toMetadata = Config.fromPartial({
    requestRules: [{ header: 'x-more', onHeaderPresent: { metadataNamespace: namespace, key: 'more' } }],
  })
  const type = 'envoy.extensions.filters.http'
  const manager = connectionManager([routeTo('c')], {
    routeSpecifier: {
      $case: 'routeConfig',
      value: {
        virtualHosts: [{ name: 'all', domains: ['*'], routes: [routeTo('c')] }],
        requestHeadersToAdd: [{ header: { key: 'x-noted', value: `%DYNAMIC_METADATA(${namespace})%` } }],
      },
    },
    httpFilters: [
      typed(namespace, `${type}.rbac.v3.RBAC`, RBAC.encode(rbac).finish()),
      typed('more', `${type}.header_to_metadata.v3.Config`, Config.encode(toMetadata).finish()),
      routerFilter,
    ],
  })
  const proxy = await proxyTo(origin.port, manager)
  for (const headers of [{}, { 'x-more': 'yes' }, {}]) await ask(proxy.port('in'), '/', { headers })
  const verdict = { enforced_effective_policy_id: 'all', enforced_engine_result: 'allowed' }
  const noted = origin.requests.map(({ headers }) => JSON.parse(String(headers['x-noted'])) as unknown)
  expect(noted).toEqual([verdict, { ...verdict, more: 'yes' }, verdict])
})
