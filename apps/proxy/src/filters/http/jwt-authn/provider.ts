import type { JwtCacheConfig, JwtProvider } from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { type HeaderName, headerName } from '@weft/http/header-table'
import type { Counter } from '../../../observe/stats.ts'
import { compileTextMatcher } from '../../../routing/matchers/string-matcher.ts'
import type { FilterContext } from '../filter.ts'
import { locationsOf, type TokenLocation } from './extract.ts'
import type { Jwt } from './jwt.ts'
import { createKeySource, type JwksCounters, type KeySource } from './key-source.ts'
import { type JwtStatus, jwtStatus } from './status.ts'
import { plainAudience } from './verify.ts'

const defaultClockSkew = 60
/** Bytes of a token, beyond which it is not kept. */
const defaultLongestCached = 4096

/** A provider of tokens, compiled: where its tokens stand, which it accepts, and what it hands on. */
export interface Provider {
  readonly name: string
  readonly issuer: string
  readonly locations: readonly TokenLocation[]
  readonly keys: KeySource
  readonly clockSkew: number
  readonly forward: boolean
  readonly payloadHeader: { name: HeaderName; pad: boolean } | null
  readonly claimHeaders: readonly { name: HeaderName; claim: readonly string[] }[]
  readonly payloadInMetadata: string
  readonly headerInMetadata: string
  readonly failedStatusInMetadata: string
  readonly spaceDelimitedClaims: readonly string[]
  readonly clearRouteCache: boolean
  /** Up to which length tokens that held are known again, and what is counted when one is, or is not. */
  readonly cache: { readonly longest: number; readonly hit: Counter; readonly miss: Counter }
  /** Whether subject and lifetime are as the provider insists. */
  checkSubject(jwt: Jwt, now: number): JwtStatus
  /** Whether an audience is allowed; `audiences` stand in for the provider's own when given. */
  checkAudience(jwt: Jwt, audiences: ReadonlySet<string> | null): JwtStatus
}

export interface CacheCounters {
  hit: Counter
  miss: Counter
}

/** Compiles a provider. */
export function compileProvider(
  name: string,
  config: JwtProvider,
  context: FilterContext,
  counters: JwksCounters & CacheCounters,
): Provider {
  const ownAudiences = audienceSet(config.audiences)
  const subject =
    config.subjects === undefined ? null : compileTextMatcher(config.subjects, `${context.path}: providers[${name}].subjects`)
  const maxLifetime = config.maxLifetime === undefined ? null : config.maxLifetime.seconds
  return {
    name,
    issuer: config.issuer,
    locations: locationsOf(config),
    keys: createKeySource(config, name, context, counters),
    clockSkew: config.clockSkewSeconds === 0 ? defaultClockSkew : config.clockSkewSeconds,
    forward: config.forward,
    payloadHeader:
      config.forwardPayloadHeader === ''
        ? null
        : { name: headerName(config.forwardPayloadHeader), pad: config.padForwardPayloadHeader },
    claimHeaders: config.claimToHeaders.map(({ headerName: header, claimName, claimPath }, i) => {
      if ((claimName === '') === (claimPath.length === 0))
        return context.fail(`providers[${name}].claim_to_headers[${i}]`, 'one of claim_name and claim_path is needed')
      const claim = claimPath.length > 0 ? claimPath.map(({ segment }) => segment?.value ?? '') : claimName.split('.')
      return { name: headerName(header), claim }
    }),
    payloadInMetadata: config.payloadInMetadata,
    headerInMetadata: config.headerInMetadata,
    failedStatusInMetadata: config.failedStatusInMetadata,
    spaceDelimitedClaims: config.normalizePayloadInMetadata?.spaceDelimitedClaims ?? [],
    clearRouteCache: config.clearRouteCache,
    cache: { longest: longestCached(config.jwtCacheConfig), hit: counters.hit, miss: counters.miss },
    checkSubject(jwt, now) {
      const { subject: who, expires } = jwt
      const fits =
        (subject === null || subject(who)) &&
        (!config.requireExpiration || expires !== null) &&
        (maxLifetime === null || (expires !== null && expires - now <= maxLifetime))
      return fits ? jwtStatus.ok : jwtStatus.verificationFails
    },
    checkAudience(jwt, audiences) {
      const allowed = audiences ?? ownAudiences
      if (allowed !== null && !jwt.audiences.some((audience) => allowed.has(plainAudience(audience)))) {
        return jwtStatus.audienceNotAllowed
      }
      return jwtStatus.ok
    },
  }
}

function longestCached(config: JwtCacheConfig | undefined): number {
  return config === undefined ? -1 : config.jwtMaxTokenSize || defaultLongestCached
}

/** null: any audience. */
export function audienceSet(audiences: readonly string[]): ReadonlySet<string> | null {
  return audiences.length === 0 ? null : new Set(audiences.map(plainAudience))
}
