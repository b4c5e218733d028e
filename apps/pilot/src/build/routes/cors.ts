import { CorsPolicy as EnvoyCorsPolicy } from '@weft/contracts/envoy/extensions/filters/http/cors/v3/cors'
import {
  type CorsPolicy,
  CorsPolicy_UnmatchedPreflights as UnmatchedPreflights,
} from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { stringMatcher } from './route-match.ts'

/** A route's CORS policy as Envoy's filter takes it. */
export function corsPolicy(cors: CorsPolicy): EnvoyCorsPolicy {
  const origins = cors.allowOrigins.map(stringMatcher).filter((matcher) => matcher !== undefined)
  const legacy = cors.allowOrigin.map((origin) =>
    origin === '*'
      ? { matchPattern: { $case: 'safeRegex' as const, value: { regex: '.*' } } }
      : { matchPattern: { $case: 'exact' as const, value: origin } },
  )
  return EnvoyCorsPolicy.fromPartial({
    allowOriginStringMatch: [...origins, ...legacy],
    allowMethods: cors.allowMethods.join(','),
    allowHeaders: cors.allowHeaders.join(','),
    exposeHeaders: cors.exposeHeaders.join(','),
    maxAge: cors.maxAge === undefined ? '' : String(cors.maxAge.seconds),
    allowCredentials: cors.allowCredentials,
    filterEnabled: { defaultValue: { numerator: 100 } },
    forwardNotMatchingPreflights: cors.unmatchedPreflights === UnmatchedPreflights.IGNORE ? false : undefined,
  })
}
