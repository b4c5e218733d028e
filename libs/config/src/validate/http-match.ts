import type { HTTPMatchRequest, StringMatch } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { checkHeaderName } from './headers.ts'
import type { Report } from './report.ts'
import { checkLabels, checkPattern, checkPort } from './scalars.ts'

/** Where the route that is checked stands. */
export interface RouteContext {
  /** The route stands in a delegate. */
  delegate: boolean
  /** The VirtualService binds to a gateway other than `mesh`. */
  gateway: boolean
}

/** A header of this name stands for a claim of the request's JWT. */
const claimPrefix = '@request.auth.claims'

/** What a request has to be for an HTTP route. */
export function checkHttpMatch(match: HTTPMatchRequest, context: RouteContext, report: Report): void {
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const) {
    const text = match[field]
    if (text !== undefined) checkText(text, report.at(field))
  }
  for (const field of ['headers', 'withoutHeaders', 'queryParams'] as const) {
    for (const [name, text] of Object.entries(match[field])) {
      const at = report.at(field, name)
      if (field === 'queryParams') {
        if (name === '') at.error('a query parameter has a name')
      } else if (!name.startsWith(claimPrefix)) checkHeaderName(name, at)
      else if (!context.gateway)
        at.error('JWT claim based routing without gateway is not supported', 'bind the VirtualService to a gateway')
      checkText(text, at)
      if (text.matchType?.$case === 'prefix' && text.matchType.value === '') at.at('prefix').error('the prefix may not be empty')
    }
  }
  if (match.port !== 0) checkPort(match.port, report.at('port'))
  checkLabels(match.sourceLabels, report.at('sourceLabels'))
}

function checkText(text: StringMatch, report: Report): void {
  if (text.matchType?.$case === 'regex') checkPattern(text.matchType.value, report.at('regex'))
}
