import type {
  RouteAction_HashPolicy,
  RouteAction_HashPolicy_Cookie,
} from '@weft/contracts/envoy/config/route/v3/route_components'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import { durationMs } from '../plan/duration.ts'
import { invalid } from '../plan/problems.ts'
import { Hash64, latin1, xxHash64 } from '../upstream/load-balancers/hash64.ts'
import { cookieValue } from './cookie.ts'
import { type HeadReader, headerReader, isPseudo } from './matchers/header-matcher.ts'
import { queryParameter } from './matchers/query-parameter-matcher.ts'
import { compileRegex } from './matchers/regex.ts'

/** What of a request hash policies look at. */
export interface HashSource {
  readonly request: RequestHead
  /** The client's address, as trusted headers tell it. */
  readonly clientAddress: string
  /** The addresses of the connection itself, peer and own, as `ip:port` each. */
  readonly connectionName: string
  readonly filterState: ReadonlyMap<string, unknown>
  /** A cookie was made for the client: its `set-cookie` goes with the response. */
  setCookie(value: string): void
}

/** The hash policies of a route, compiled. */
export interface HashPolicies {
  /** Writes the request's hash; false: no policy finds anything to hash. */
  hash(source: HashSource, into: Hash64): boolean
}

/** Writes a policy's hash of a request; false: there is nothing to hash. */
type Policy = (source: HashSource, into: Hash64) => boolean

/** Compiles the hash policies of a route; null: it has none. Throws WeftError. */
export function compileHashPolicies(policies: readonly RouteAction_HashPolicy[], path: string): HashPolicies | null {
  if (policies.length === 0) return null
  const compiled = policies.map((policy, i) => ({ hash: compilePolicy(policy, `${path}[${i}]`), terminal: policy.terminal }))
  const one = new Hash64()
  return {
    hash(source, into) {
      let found = false
      for (let i = 0; i < compiled.length; i++) {
        const { hash, terminal } = compiled[i]!
        if (hash(source, one)) {
          if (found) into.combine(one)
          else into.set(one.hi, one.lo)
          found = true
        }
        if (terminal && found) break
      }
      return found
    },
  }
}

function compilePolicy(policy: RouteAction_HashPolicy, path: string): Policy {
  const specifier = policy.policySpecifier
  switch (specifier?.$case) {
    case 'header': {
      const { headerName: name, regexRewrite } = specifier.value
      const pattern = regexRewrite?.pattern?.regex
      const regex = pattern === undefined ? null : compileRegex(pattern, `${path}.header.regex_rewrite.pattern.regex`)
      const substitution = regexRewrite?.substitution ?? ''
      const rewrite = regex === null ? null : (value: string) => regex.replaceAll(value, substitution)
      return isPseudo(name) ? pseudoPolicy(headerReader(name), rewrite) : headerPolicy(headerName(name), rewrite)
    }
    case 'cookie':
      return cookiePolicy(specifier.value)
    case 'connectionProperties': {
      if (!specifier.value.sourceIp) return () => false
      return (source, into) => {
        if (source.clientAddress === '') return false
        xxHash64(source.clientAddress, into)
        return true
      }
    }
    case 'queryParameter': {
      const name = latin1(specifier.value.name)
      return (source, into) => {
        const value = queryParameter(source.request.path, name)
        if (value === null) return false
        xxHash64(value, into)
        return true
      }
    }
    case 'filterState': {
      const { key } = specifier.value
      return (source, into) => {
        const value = source.filterState.get(key)
        if (typeof value !== 'string') return false
        xxHash64(value, into)
        return true
      }
    }
    default:
      throw invalid(path, 'a hash policy needs something to hash')
  }
}

function pseudoPolicy(read: HeadReader, rewrite: ((value: string) => string) | null): Policy {
  return ({ request }, into) => {
    const value = read(request)
    if (value === null) return false
    xxHash64(rewrite === null ? value : rewrite(value), into)
    return true
  }
}

function headerPolicy(name: HeaderName, rewrite: ((value: string) => string) | null): Policy {
  return ({ request: { headers } }, into) => {
    const first = headers.find(name)
    if (first < 0) return false
    const more = headers.find(name, first + 1)
    const value = headers.valueAt(first)
    if (more < 0) {
      xxHash64(rewrite === null ? value : rewrite(value), into)
      return true
    }
    // Of several values the order does not count; each is hashed with the one before as its seed.
    const values = [rewrite === null ? value : rewrite(value)]
    for (let i = more; i >= 0; i = headers.find(name, i + 1))
      values.push(rewrite === null ? headers.valueAt(i) : rewrite(headers.valueAt(i)))
    into.set(0, 0)
    for (const each of values.sort()) xxHash64(each, into, into.hi, into.lo)
    return true
  }
}

function cookiePolicy(config: RouteAction_HashPolicy_Cookie): Policy {
  const name = latin1(config.name)
  const attributes = config.attributes.map((one) => (one.value === '' ? `; ${one.name}` : `; ${one.name}=${one.value}`)).join('')
  const seconds = Math.floor(durationMs(config.ttl, 0) / 1000)
  const made = new Hash64()
  return (source, into) => {
    let value = cookieValue(source.request.headers, name)
    if (value === null && config.ttl !== undefined) {
      value = xxHash64(source.connectionName, made).toHex()
      const age = seconds > 0 ? `; Max-Age=${seconds}` : ''
      const at = config.path === '' ? '' : `; Path=${config.path}`
      source.setCookie(`${config.name}="${value}"${age}${at}${attributes}; HttpOnly`)
    }
    if (value === null || value === '') return false
    xxHash64(value, into)
    return true
  }
}
