import { InternalRedirectPolicy } from '@weft/contracts/envoy/config/route/v3/route_components'
import { AllowListedRoutesConfig } from '@weft/contracts/envoy/extensions/internal_redirect/allow_listed_routes/v3/allow_listed_routes_config'
import { describe, expect, it } from 'vitest'
import { any } from '../testing/resources.ts'
import { compileInternalRedirect, type RedirectStep } from './internal-redirect.ts'

const prefix = 'envoy.extensions.internal_redirect.'
const step: RedirectStep = { fromScheme: 'http', toScheme: 'http', fromRoute: 'a', toRoute: 'b', visited: new Set(['c']) }

function holds(type: string, config: Uint8Array, change: Partial<RedirectStep>): boolean {
  const policy = InternalRedirectPolicy.fromPartial({ predicates: [{ name: 'p', typedConfig: any(prefix + type, config) }] })
  return compileInternalRedirect(policy, 'path').predicates.every((predicate) => predicate({ ...step, ...change }))
}

describe('predicates of internal redirects', () => {
  const allowed = AllowListedRoutesConfig.encode({ allowedRouteNames: ['b', 'd'] }).finish()
  it.each([
    ['allow_listed_routes.v3.AllowListedRoutesConfig', allowed, {}, true],
    ['allow_listed_routes.v3.AllowListedRoutesConfig', allowed, { toRoute: 'e' }, false],
    ['previous_routes.v3.PreviousRoutesConfig', new Uint8Array(), {}, true],
    ['previous_routes.v3.PreviousRoutesConfig', new Uint8Array(), { toRoute: 'c' }, false],
    ['safe_cross_scheme.v3.SafeCrossSchemeConfig', new Uint8Array(), { fromScheme: 'https' }, true],
    ['safe_cross_scheme.v3.SafeCrossSchemeConfig', new Uint8Array(), { toScheme: 'https' }, false],
  ])('%s', (type, config, change, wanted) => {
    expect(holds(type, config, change)).toBe(wanted)
  })

  it('that are not known are refused, and pseudo headers to copy', () => {
    expect(() => holds('other.v3.Config', new Uint8Array(), {})).toThrow('not supported')
    const copies = InternalRedirectPolicy.fromPartial({ responseHeadersToCopy: ['x-a', ':authority'] })
    expect(() => compileInternalRedirect(copies, 'path')).toThrow(':authority')
  })
})
