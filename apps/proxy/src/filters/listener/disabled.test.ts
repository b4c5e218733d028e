import { ListenerFilterChainMatchPredicate } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { expect, test } from 'vitest'
import { unlessDisabled } from './disabled.ts'
import type { ConnectionFacts } from './filter.ts'

type Rule = Parameters<(typeof ListenerFilterChainMatchPredicate)['fromPartial']>[0]

/** Of the ports 1 to 9, those whose connections the filter looks at. */
function seenPorts(predicate: Rule | undefined): number[] {
  const seen: number[] = []
  const filter = unlessDisabled(
    {
      maxBytes: 1,
      inspect(_bytes, facts) {
        seen.push(facts.local.port)
        return 0
      },
    },
    predicate && ListenerFilterChainMatchPredicate.fromPartial(predicate),
  )
  for (let port = 1; port < 10; port++) {
    const facts = { local: { address: '127.0.0.1', port } } as ConnectionFacts
    expect(filter.inspect(Buffer.alloc(0), facts)).toBe(0)
  }
  return seen
}

const range = (start: number, end: number): { rule: NonNullable<NonNullable<Rule>['rule']> } => ({
  rule: { $case: 'destinationPortRange', value: { start, end } },
})

test.each<[string, Rule | undefined, number[]]>([
  ['without a predicate everywhere', undefined, [1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ['nowhere, where any connection matches', { rule: { $case: 'anyMatch', value: true } }, []],
  ['but in a range, whose end is outside it', range(3, 5), [1, 2, 5, 6, 7, 8, 9]],
  ['in a range alone', { rule: { $case: 'notMatch', value: range(3, 5) } }, [3, 4]],
  [
    'but where one of several matches',
    { rule: { $case: 'orMatch', value: { rules: [range(1, 4), range(8, 99)] } } },
    [4, 5, 6, 7],
  ],
  [
    'but where all match',
    { rule: { $case: 'andMatch', value: { rules: [range(1, 6), range(5, 99)] } } },
    [1, 2, 3, 4, 6, 7, 8, 9],
  ],
])('a listener filter looks %s', (_, predicate, ports) => {
  expect(seenPorts(predicate)).toEqual(ports)
})
