import { expect, test } from 'vitest'
import { readDocuments } from '../document.ts'
import { describeProblem } from '../problem.ts'
import { readObject } from '../read-object.ts'

function problems(spec: object): string[] {
  const text = JSON.stringify({ apiVersion: 'telemetry.istio.io/v1', kind: 'Telemetry', metadata: { name: 'a' }, spec })
  return readDocuments(text, 'a')
    .documents.flatMap((document) => readObject(document).problems)
    .map((problem) => `${problem.severity} ${describeProblem(problem).replace(/^a:\d+: /, '')}`)
}

test.each(['response.code >= 400', 'request.path.matches("^/a(b|c)$")', `request.headers['x'] == "it's (not"`])(
  'the filter %s is taken',
  (expression) => {
    expect(problems({ accessLogging: [{ filter: { expression } }] })).toEqual([])
  },
)

test.each([
  [
    { accessLogging: [{ filter: { expression: ')++++' } }] },
    /error spec\.accessLogging\[0\]\.filter\.expression: .*a \) too many/,
  ],
  [{ accessLogging: [{ filter: { expression: 'a(b[0)' } }] }, /a \) too many/],
  [{ accessLogging: [{ filter: { expression: 'has(a' } }] }, /a \) is missing/],
  [{ accessLogging: [{ filter: { expression: "a == 'b" } }] }, /a quote has no end/],
  [{ accessLogging: [{ providers: [{ name: '' }] }] }, /error spec\.accessLogging\[0\]\.providers\[0\]\.name/],
  [{ tracing: [{ randomSamplingPercentage: 100.5 }] }, /error .*randomSamplingPercentage must be in range/],
  [{ tracing: [{}, {}] }, /warning spec\.tracing: multiple tracing/],
  [{ tracing: [{ customTags: { a: {} } }] }, /error .*tag 'a' may not have a nil value/],
  [{ tracing: [{ customTags: { a: { header: { name: '' } } } }] }, /error .*the header must have a name/],
  [{ selector: { matchLabels: { a: 'b' } }, targetRefs: [{ kind: 'Service', name: 'a' }] }, /only one of targetRefs/],
])('%j is told', (spec, message) => {
  expect(problems(spec)).toEqual([expect.stringMatching(message)])
})
