import type { QueryParameterMatcher } from '@weft/contracts/envoy/config/route/v3/route_components'
import { wireText } from '../../observe/format/wire-text.ts'
import { invalid } from '../../plan/problems.ts'
import { compileStringMatcher } from './string-matcher.ts'

/** Says whether the query of a request's path matches. */
export type QueryMatcher = (path: string) => boolean

/** Compiles an `envoy.config.route.v3.QueryParameterMatcher`: the first parameter of that name decides. */
export function compileQueryParameterMatcher(matcher: QueryParameterMatcher, path: string): QueryMatcher {
  const name = wireText(matcher.name)
  if (name === '') throw invalid(`${path}.name`, 'the query parameter matcher names no parameter')
  const specifier = matcher.queryParameterMatchSpecifier
  if (specifier?.$case === 'stringMatch') {
    const matches = compileStringMatcher(specifier.value, `${path}.string_match`)
    return (target) => {
      const value = queryParameter(target, name)
      return value !== null && matches(value)
    }
  }
  const present = specifier === undefined || specifier.value
  return (target) => (queryParameter(target, name) !== null) === present
}

/** The first value of a query parameter as it stands in the path, not decoded; null when there is none. */
export function queryParameter(path: string, name: string): string | null {
  const query = path.indexOf('?')
  if (query < 0) return null
  let start = query + 1
  const hash = path.indexOf('#', start)
  const limit = hash < 0 ? path.length : hash
  while (start <= limit) {
    let end = path.indexOf('&', start)
    if (end < 0 || end > limit) end = limit
    const equals = path.indexOf('=', start)
    const nameEnd = equals >= 0 && equals < end ? equals : end
    if (nameEnd - start === name.length && path.startsWith(name, start))
      return nameEnd === end ? '' : path.slice(nameEnd + 1, end)
    start = end + 1
  }
  return null
}
