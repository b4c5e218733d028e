import { MatchPredicate } from '@weft/contracts/envoy/config/common/matcher/v3/matcher'
import { headerName } from '@weft/http/header-table'
import { ResponseHead } from '@weft/http/message'
import { expect, test } from 'vitest'
import { compileResponseMatch } from './response-match.ts'

type Rule = NonNullable<MatchPredicate['rule']>

const predicate = (rule: Rule): MatchPredicate => MatchPredicate.fromPartial({ rule })
const header = (name: string, exact: string): MatchPredicate =>
  MatchPredicate.fromPartial({
    rule: {
      $case: 'httpResponseHeadersMatch',
      value: {
        headers: [
          {
            name,
            headerMatchSpecifier: { $case: 'stringMatch', value: { matchPattern: { $case: 'exact', value: exact } } },
          },
        ],
      },
    },
  })

function matches(rule: MatchPredicate, status: number, kind = ''): boolean {
  const head = new ResponseHead()
  head.status = status
  if (kind !== '') head.headers.append(headerName('x-kind'), kind)
  return compileResponseMatch(rule, 'here')(head)
}

test('a response is told by its status and headers, combined by and, or, not', () => {
  const notGood = predicate({ $case: 'notMatch', value: header('x-kind', 'good') })
  const rules = [
    header(':status', '404'),
    predicate({ $case: 'andMatch', value: { rules: [header(':status', '200'), notGood] } }),
  ]
  const rule = predicate({ $case: 'orMatch', value: { rules } })
  expect(matches(rule, 404, 'good')).toBe(true)
  expect(matches(rule, 200, 'good')).toBe(false)
  expect(matches(rule, 200, 'bad')).toBe(true)
  expect(matches(rule, 500)).toBe(false)
})

test('what is not in the head matches nothing', () => {
  expect(matches(predicate({ $case: 'httpResponseTrailersMatch', value: { headers: [] } }), 200)).toBe(false)
  expect(matches(predicate({ $case: 'anyMatch', value: true }), 200)).toBe(true)
})
