import type { MatchPredicate } from '@weft/contracts/envoy/config/common/matcher/v3/matcher'
import { invalid } from '../../plan/problems.ts'
import { compileHeaderMatcher, type HeadMatcher } from './header-matcher.ts'

/**
 * Compiles an `envoy.config.common.matcher.v3.MatchPredicate` to be asked by a response's head: rules about requests, bodies and
 * trailers match nothing then.
 */
export function compileResponseMatch(predicate: MatchPredicate, path: string): HeadMatcher {
  const { rule } = predicate
  switch (rule?.$case) {
    case undefined:
      throw invalid(path, 'the predicate says nothing')
    case 'orMatch': {
      const rules = rule.value.rules.map((one, i) => compileResponseMatch(one, `${path}.or_match.rules[${i}]`))
      return (head) => rules.some((matches) => matches(head))
    }
    case 'andMatch': {
      const rules = rule.value.rules.map((one, i) => compileResponseMatch(one, `${path}.and_match.rules[${i}]`))
      return (head) => rules.every((matches) => matches(head))
    }
    case 'notMatch': {
      const matches = compileResponseMatch(rule.value, `${path}.not_match`)
      return (head) => !matches(head)
    }
    case 'anyMatch':
      return () => true
    case 'httpResponseHeadersMatch': {
      const at = `${path}.http_response_headers_match.headers`
      const rules = rule.value.headers.map((one, i) => compileHeaderMatcher(one, `${at}[${i}]`))
      return (head) => rules.every((matches) => matches(head))
    }
    default:
      return () => false
  }
}
