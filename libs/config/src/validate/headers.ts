import type { Headers, Headers_HeaderOperations } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import type { Report } from './report.ts'

const token = /^[\w!#$%&'*+.^`|~-]+$/
const pseudoOrToken = /^:?[\w!#$%&'*+.^`|~-]+$/

/** A header's name; `:authority` and the like only where `pseudo`. */
export function checkHeaderName(name: string, report: Report, pseudo = true): void {
  if (name === '') report.error('header name cannot be empty')
  else if (!(pseudo ? pseudoOrToken : token).test(name)) report.error(`header name "${name}" is not a valid header name`)
}

/** A header's value, in which `%` begins one of Envoy's variables such as `%HOSTNAME%` unless doubled. */
function checkHeaderValue(value: string, report: Report): void {
  const rest = value.replaceAll('%%', '').replaceAll(/%[A-Z][A-Z0-9_]*(?:\([^()]*\))?(?::\d+)?%/g, '')
  if (rest.includes('%')) report.error(`header value "${value}" has a lone %`, 'write %% for a percent sign')
}

/** What a route adds to, sets in and takes out of requests and responses. */
export function checkHeaders(headers: Headers | undefined, report: Report): void {
  if (headers?.request !== undefined) checkOperations(headers.request, report.at('request'))
  if (headers?.response !== undefined) checkOperations(headers.response, report.at('response'))
}

function checkOperations(operations: Headers_HeaderOperations, report: Report): void {
  for (const operation of ['set', 'add'] as const) {
    for (const [name, value] of Object.entries(operations[operation])) {
      const at = report.at(operation, name)
      checkHeaderName(name, at)
      checkHeaderValue(value, at)
    }
  }
  for (const [index, name] of operations.remove.entries()) checkHeaderName(name, report.at('remove', index), false)
}
