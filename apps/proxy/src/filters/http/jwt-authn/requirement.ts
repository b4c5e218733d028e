import type { JwtRequirement } from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { headerName } from '@weft/http/header-table'
import type { FilterContext, HttpStream } from '../filter.ts'
import { authenticate, authenticateAny, type Verdict } from './authenticate.ts'
import { audienceSet, type Provider } from './provider.ts'
import { type JwtStatus, jwtStatus } from './status.ts'

/** A requirement compiled: says how the request stands to it. */
export type Requirement = (stream: HttpStream) => Verdict

/** Compiles a requirement tree. */
export function compileRequirement(
  requirement: JwtRequirement,
  providers: ReadonlyMap<string, Provider>,
  path: string,
  context: FilterContext,
): Requirement {
  const find = (name: string): Provider => {
    const provider = providers.get(name)
    return (
      provider ??
      context.fail(path, `names the provider '${name}', which is not configured`, `known: ${[...providers.keys()].join(', ')}`)
    )
  }
  const type = requirement.requiresType
  switch (type?.$case) {
    case undefined:
      return () => jwtStatus.ok
    case 'providerName': {
      const demand = { provider: find(type.value), audiences: null }
      return (stream) => authenticate(stream, demand)
    }
    case 'providerAndAudiences': {
      const demand = { provider: find(type.value.providerName), audiences: audienceSet(type.value.audiences) }
      return (stream) => authenticate(stream, demand)
    }
    case 'requiresAll': {
      const all = type.value.requirements.map((item, i) =>
        compileRequirement(item, providers, `${path}.requires_all[${i}]`, context),
      )
      return (stream) => allOf(all, stream, 0)
    }
    case 'requiresAny': {
      const items = type.value.requirements
      const any = items
        .map((item, i) => ({ item, path: `${path}.requires_any[${i}]` }))
        .filter(({ item }) => !isAllowance(item))
        .map(({ item, path: at }) => compileRequirement(item, providers, at, context))
      const has = (allowance: string): boolean => items.some((item) => item.requiresType?.$case === allowance)
      return anyOf(any, has('allowMissing'), has('allowMissingOrFailed'))
    }
    case 'extractOnlyWithoutValidation': {
      const all = [...providers.values()]
      const header = headerName(type.value.verificationStatusHeader || 'x-jwt-signature-verified')
      // Unlike what its name says, tokens are verified, and only those that hold are handed on (as Envoy 1.40 does).
      return (stream) =>
        after(authenticateAny(stream, all), (status) => {
          if (status !== jwtStatus.ok && status !== jwtStatus.missing) stream.request.headers.set(header, 'false')
          return jwtStatus.ok
        })
    }
    case 'allowMissing': {
      const all = [...providers.values()]
      return (stream) => after(authenticateAny(stream, all), (status) => (status === jwtStatus.missing ? jwtStatus.ok : status))
    }
    case 'allowMissingOrFailed': {
      const all = [...providers.values()]
      return (stream) => after(authenticateAny(stream, all), () => jwtStatus.ok)
    }
  }
}

function isAllowance({ requiresType }: JwtRequirement): boolean {
  return requiresType?.$case === 'allowMissing' || requiresType?.$case === 'allowMissingOrFailed'
}

function after(verdict: Verdict, next: (status: JwtStatus) => Verdict): Verdict {
  return typeof verdict === 'string' ? next(verdict) : verdict.then(next)
}

function allOf(requirements: readonly Requirement[], stream: HttpStream, from: number): Verdict {
  const first = requirements[from]
  if (first === undefined) return jwtStatus.ok
  return after(first(stream), (status) => (status === jwtStatus.ok ? allOf(requirements, stream, from + 1) : status))
}

/**
 * The first that holds decides. When none does, the failure told is the one that says most: a token that was there
 * and bad before one of a foreign issuer, that before none at all.
 */
function anyOf(requirements: readonly Requirement[], missingAllowed: boolean, failedAllowed: boolean): Requirement {
  const conclude = (failure: JwtStatus): JwtStatus => {
    if (failedAllowed || (missingAllowed && failure === jwtStatus.missing)) return jwtStatus.ok
    return failure
  }
  const tryFrom = (stream: HttpStream, from: number, failure: JwtStatus): Verdict => {
    const requirement = requirements[from]
    if (requirement === undefined) return conclude(failure)
    return after(requirement(stream), (status) => {
      if (status === jwtStatus.ok) return status
      const tells = (status !== jwtStatus.missing && status !== jwtStatus.unknownIssuer) || failure === jwtStatus.missing
      return tryFrom(stream, from + 1, tells ? status : failure)
    })
  }
  return (stream) => tryFrom(stream, 0, jwtStatus.missing)
}
