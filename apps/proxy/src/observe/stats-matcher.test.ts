import { StatsMatcher } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { expect, test } from 'vitest'
import { matchByCluster, statsMatcher } from './stats-matcher.ts'

type Fields = Parameters<(typeof StatsMatcher)['fromPartial']>[0]['statsMatcher']

const prefixed = (prefix: string) => ({ patterns: [{ matchPattern: { $case: 'prefix' as const, value: prefix } }] })
const match = (fields: Fields) => statsMatcher(StatsMatcher.fromPartial(fields === undefined ? {} : { statsMatcher: fields }))
const names = ['cluster.a.x', 'cluster.a.y.z', 'cluster.a.b.x', 'listener.a.x']

test.each<[string, Fields, string[]]>([
  ['all, where nothing is said', undefined, names],
  ['none', { $case: 'rejectAll', value: true }, []],
  ['all', { $case: 'rejectAll', value: false }, names],
  ['those on a list', { $case: 'inclusionList', value: prefixed('cluster.a.b') }, ['cluster.a.b.x']],
  ['those not on a list', { $case: 'exclusionList', value: prefixed('cluster.') }, ['listener.a.x']],
])('there are %s', (_, fields, there) => {
  expect(names.filter(match(fields))).toEqual(there)
})

test('what a cluster says of its own stats holds in place of what is said of all', () => {
  const none = match({ $case: 'rejectAll', value: true })
  const only = match({ $case: 'inclusionList', value: prefixed('cluster.a.y') })
  const all = match(undefined)
  const there = (own: typeof none | undefined, others: typeof none) =>
    names.filter(
      matchByCluster(
        new Map([
          ['cluster.a', own],
          ['cluster.a.b', undefined],
        ]),
        others,
      ),
    )
  expect(there(undefined, all)).toEqual(names)
  expect(there(undefined, none)).toEqual([])
  expect(there(only, none)).toEqual(['cluster.a.y.z'])
  expect(there(only, all)).toEqual(['cluster.a.y.z', 'cluster.a.b.x', 'listener.a.x'])
  expect(there(none, all)).toEqual(['cluster.a.b.x', 'listener.a.x'])
})
