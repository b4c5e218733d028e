import type { HTTPMatchRequest, HTTPRoute } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import type { Report } from './report.ts'

/** Warns of matches that never decide: the same as an earlier one, below an earlier prefix, or after one that takes all. */
export function warnUnreachable(routes: readonly HTTPRoute[], report: Report): void {
  const seen = new Map<string, string>()
  const prefixes: { prefix: string; ignoreCase: boolean; where: string }[] = []
  let takesAll: string | undefined
  for (const [index, route] of routes.entries()) {
    const where = route.name === '' ? `route #${index}` : `route "${route.name}"`
    if (takesAll !== undefined) {
      report.at(index).warn(`this route is never used: ${takesAll} before it takes all requests`, 'put it before that one')
      continue
    }
    if (route.match.length === 0) takesAll = where
    for (const [which, match] of route.match.entries()) {
      const at = report.at(index, 'match', which)
      const key = JSON.stringify({ ...match, name: '' })
      const earlier = seen.get(key)
      const covering = prefixes.find((one) => isCovered(match, one))
      if (earlier !== undefined) at.warn(`this match is never used: ${earlier} has the same`)
      else if (covering !== undefined) at.warn(`this match is never used: ${covering.where} takes the prefix ${covering.prefix}`)
      seen.set(key, `match #${which} of ${where}`)
      const type = match.uri?.matchType
      if (type?.$case === 'prefix' && onlyUri(match)) {
        prefixes.push({ prefix: type.value, ignoreCase: match.ignoreUriCase, where: `match #${which} of ${where}` })
      }
    }
  }
}

function isCovered(match: HTTPMatchRequest, by: { prefix: string; ignoreCase: boolean }): boolean {
  const type = match.uri?.matchType
  if (type === undefined || type.$case === 'regex') return false
  if (match.ignoreUriCase && !by.ignoreCase) return false
  const fold = (text: string): string => (by.ignoreCase ? text.toLowerCase() : text)
  return fold(type.value).startsWith(fold(by.prefix))
}

/** Whether a match asks for nothing but the URI. */
function onlyUri(match: HTTPMatchRequest): boolean {
  const { scheme, method, authority, headers, withoutHeaders, queryParams, sourceLabels } = match
  const maps = [headers, withoutHeaders, queryParams, sourceLabels]
  return (
    scheme === undefined &&
    method === undefined &&
    authority === undefined &&
    maps.every((map) => Object.keys(map).length === 0) &&
    match.port === 0 &&
    match.gateways.length === 0 &&
    match.sourceNamespace === ''
  )
}
