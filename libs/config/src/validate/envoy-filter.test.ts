import { expect, test } from 'vitest'
import { readDocuments } from '../document.ts'
import { describeProblem } from '../problem.ts'
import { readObject } from '../read-object.ts'

function problems(patch: object, more: object = {}): string[] {
  const spec = { configPatches: [patch], ...more }
  const text = JSON.stringify({ apiVersion: 'networking.istio.io/v1alpha3', kind: 'EnvoyFilter', metadata: { name: 'a' }, spec })
  return readDocuments(text, 'a')
    .documents.flatMap((document) => readObject(document).problems)
    .map((problem) => `${problem.severity} ${describeProblem(problem).replace(/^a:\d+: /, '')}`)
}

const patch = { operation: 'ADD', value: { name: 'c', connect_timeout: '1s' } }

test.each([
  { applyTo: 'CLUSTER', patch },
  { applyTo: 'CLUSTER', match: { context: 'GATEWAY', cluster: { name: 'c' } }, patch: { operation: 'REMOVE' } },
])('%j is taken', (given) => {
  expect(problems(given)).toEqual([])
})

test.each([
  [{ patch }, /error spec\.configPatches\[0\]\.applyTo: missing applyTo/],
  [{ applyTo: 'CLUSTER' }, /error .*missing patch/],
  [{ applyTo: 'CLUSTER', patch: { operation: 'ADD' } }, /error .*\.value: missing value/],
  [{ applyTo: 'CLUSTER', patch: { operation: 'REMOVE', value: {} } }, /error .*a REMOVE has no value/],
  [{ applyTo: 'CLUSTER', patch: { ...patch, operation: 'INSERT_FIRST' } }, /error .*\(write MERGE, ADD, REMOVE\)/],
  [{ applyTo: 'CLUSTER', patch: { operation: 'ADD', value: { name: 7 } } }, /error .*not what Envoy takes there/],
  [{ applyTo: 'CLUSTER', patch: { operation: 'ADD', value: { nam: 'c' } } }, /warning .*in part unknown/],
  [{ applyTo: 'CLUSTER', match: { listener: {} }, patch }, /error .*match\.listener: .*\(match by cluster\)/],
  [{ applyTo: 'CLUSTER', match: { proxy: { proxyVersion: '(' } }, patch }, /error .*no regular expression/],
  [{ applyTo: 'CLUSTER', match: { context: 'GATEWAY', waypoint: {} }, patch }, /error .*only support waypointMatch/],
  [{ applyTo: 'CLUSTER', match: { context: 'WAYPOINT' }, patch }, /warning .*there are no waypoints/],
  [{ applyTo: 'BOOTSTRAP', patch: { operation: 'MERGE', value: {} } }, /warning .*no effect/],
  [
    { applyTo: 'NETWORK_FILTER', match: { listener: { filterChain: { filter: { subFilter: {} } } } }, patch },
    /error .*(only for applyTo HTTP_FILTER|not what Envoy takes)/,
  ],
])('%j is told', (given, message) => {
  expect(problems(given)).toContainEqual(expect.stringMatching(message))
})

test('a selector and targets exclude each other', () => {
  const more = { workloadSelector: { labels: { a: 'b' } }, targetRefs: [{ kind: 'Service', name: 'a' }] }
  expect(problems({ applyTo: 'CLUSTER', patch }, more)).toEqual([expect.stringMatching(/only one of targetRefs/)])
})
