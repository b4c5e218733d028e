import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readDocuments } from './document.ts'
import { parseDuration } from './duration.ts'
import { joinPath, parsePath } from './path.ts'
import { describeProblem } from './problem.ts'
import { readObject } from './read-object.ts'
import type { Reading } from './reading.ts'

function readings(yaml: string): Reading[] {
  return readDocuments(yaml, 'a.yaml').documents.map(readObject)
}

/** All that is said about a text, in lines for people. */
function said(yaml: string): string[] {
  const { documents, problems } = readDocuments(yaml, 'a.yaml')
  return [...problems, ...documents.flatMap((document) => readObject(document).problems)].map(describeProblem)
}

const route = `apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - match:
    - headers:
        end-user: { exact: jason }
    route:
    - destination:
        host: reviews
        subset: v1
      weight: 80
    - destination: { host: reviews, subset: v2 }
      weight: 20
    timeout: 1m30s
`

test('an object has its exact type, whichever version of its group it names', () => {
  for (const version of ['v1alpha3', 'v1beta1', 'v1']) {
    const [reading] = readings(route.replace('v1alpha3', version))
    if (reading?.type !== 'object' || reading.object.kind !== 'VirtualService') throw new Error('no VirtualService')
    const [http] = reading.object.spec.http
    expect(http?.route.map(({ weight }) => weight)).toEqual([80, 20])
    expect(http?.timeout).toEqual({ seconds: 90, nanos: 0 })
    expect(http?.match[0]?.headers['end-user']?.matchType).toEqual({ $case: 'exact', value: 'jason' })
    expect(reading.object.metadata.namespace).toBe('default')
  }
})

test('every path has its line, in block and flow style', () => {
  const [document] = readDocuments(`# first\n---\n${route}`, 'a.yaml').documents
  expect(document?.line).toBe(3)
  expect(document?.lineOf('spec.http[0].route[0].weight')).toBe(18)
  expect(document?.lineOf('spec.http[0].route[1].destination.subset')).toBe(19)
  expect(document?.lineOf('spec.http[0].match[0].headers["end-user"].exact')).toBe(13)
  expect(document?.lineOf('spec.http[0].retries.attempts')).toBe(11)
})

test.for([
  ['unknown field', ['timeout:', 'timout:'], 'a.yaml:19: spec.http[0].timout: unknown field "timout" (did you mean "timeout"?)'],
  ['wrong type', ['weight: 80', 'weight: most'], 'a.yaml:16: spec.http[0].route[0].weight: must be a whole number, not "most"'],
  [
    'number where a string stands',
    ['subset: v1', 'subset: 1'],
    'a.yaml:15: spec.http[0].route[0].destination.subset: must be a string, not a number (put it in quotes: "1")',
  ],
  [
    'bad duration',
    ['1m30s', '90'],
    'a.yaml:19: spec.http[0].timeout: bad duration 90 (a number with its unit, such as 5s, 100ms or 1h)',
  ],
  [
    'no list',
    ['hosts:\n  - reviews', 'hosts: reviews'],
    'a.yaml:6: spec.hosts: must be a list, not a string (put a "- " before each element)',
  ],
  ['rule of the kind', ['weight: 20', 'weight: -20'], 'a.yaml:18: spec.http[0].route[1].weight: weight must not be negative'],
  [
    'bad name',
    ['name: reviews', 'name: Reviews!'],
    'a.yaml:4: metadata.name: "Reviews!" is no valid name (lower case letters, digits, "-" and ".")',
  ],
  [
    'unknown kind',
    ['kind: VirtualService', 'kind: VirtualServce'],
    expect.stringMatching(/^a\.yaml:1: unknown kind "VirtualServce" in networking\.istio\.io/),
  ],
  ['unknown version', ['v1alpha3', 'v9'], 'a.yaml:1: unknown version "v9" of networking.istio.io (write v1alpha3, v1beta1, v1)'],
  ['broken YAML', ['  - match:', '  - match: ['], expect.stringMatching(/^a\.yaml:\d+: broken YAML: /)],
] as const)('%s: one line with file, line and path', ([, [before, after], expected]) => {
  expect(route).toContain(before)
  expect(said(route.replace(before, after))).toEqual([expected])
})

test('all problems are told, not the first alone', () => {
  const text = route.replace('timeout: 1m30s', 'timeout: 5\n    retrys: {}').replace('weight: 20', 'weight: "x"')
  expect(said(text)).toHaveLength(3)
})

test('two fields that exclude each other, and one field in two spellings', () => {
  expect(said(route.replace('{ exact: jason }', '{ exact: jason, prefix: j }'))).toEqual([
    expect.stringContaining('"exact" and "prefix" exclude each other'),
  ])
  expect(said(route.replace('  http:', '  exportTo: ["*"]\n  export_to: ["."]\n  http:'))).toEqual([
    expect.stringContaining('given twice'),
  ])
})

test('a broken document leaves the others of its file', () => {
  const { documents, problems } = readDocuments(
    `${route}---\nkind: [\n---\n${route.replace('name: reviews', 'name: other')}`,
    'a.yaml',
  )
  expect(documents).toHaveLength(2)
  expect(problems).toHaveLength(1)
})

test('a List is its items, each with its own lines', () => {
  const list =
    'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: { name: a }\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: B\n'
  expect(said(list)).toEqual(['a.yaml:10: metadata.name: "B" is no valid name (lower case letters, digits, "-" and ".")'])
})

test('Mixer kinds are handed on, kinds of others ignored with a notice', () => {
  const types = readings(
    'apiVersion: config.istio.io/v1alpha2\nkind: rule\nmetadata: { name: a, namespace: b }\nspec: { match: x }\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: c }\n',
  ).map((reading) => [reading.type, reading.type === 'raw' ? reading.key : reading.problems[0]?.severity])
  expect(types).toEqual([
    ['raw', 'rule/b/a'],
    ['ignored', 'notice'],
  ])
})

test('an alias bomb is refused, not unfolded', () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
    .split('')
    .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[index]}`).join()}]`)
    .join('\n')}\nkind: X\napiVersion: v1\n`
  expect(said(bomb)).toEqual([expect.stringContaining('broken YAML')])
})

test('nesting beyond all measure is refused', () => {
  expect(said('['.repeat(200_000))).toEqual([expect.stringMatching(/^a\.yaml:1: broken YAML/)])
  const deep = `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: a }\nspec: ${'{ http: '.repeat(500)}${'}'.repeat(500)}\n`
  expect(said(deep).length).toBeGreaterThan(0)
})

test('Go durations', () => {
  const table = [
    ['1h', 3_600_000_000_000n],
    ['1m30.5s', 90_500_000_000n],
    ['100ms', 100_000_000n],
    ['0', 0n],
    ['-2s', -2_000_000_000n],
  ] as const
  for (const [text, nanos] of table) expect(parseDuration(text)).toBe(nanos)
  for (const text of ['', '5', 's', '1x', '1s ', '1e3s', '.s', `${'9'.repeat(30)}h`]) expect(parseDuration(text)).toBeUndefined()
})

test('a path is read as it was written', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string({ minLength: 1 }), fc.nat(1_000)), { minLength: 1 }), (segments) => {
      const path = segments.reduce<string>(joinPath, '')
      expect(parsePath(path)).toEqual(segments)
    }),
    { seed: 5 },
  )
})

test('whatever is written, reading ends with problems or an object, never with a crash', () => {
  const value = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('node')),
      fc.dictionary(fc.constantFrom('hosts', 'http', 'route', 'match', 'uri', 'exact', 'timeout', 'x'), tie('node')),
    ),
  })).node
  const kinds = fc.constantFrom(
    'VirtualService',
    'DestinationRule',
    'Gateway',
    'ServiceEntry',
    'Sidecar',
    'WorkloadEntry',
    'WorkloadGroup',
  )
  fc.assert(
    fc.property(kinds, value, fc.string(), (kind, spec, junk) => {
      readDocuments(junk, 'junk')
      for (const reading of readings(
        JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name: 'a' }, spec }),
      )) {
        if (reading.type === 'refused') expect(reading.problems.length).toBeGreaterThan(0)
      }
    }),
    { seed: 7, numRuns: 300 },
  )
})

test.each([
  ['/a/{*}', undefined],
  ['/a/{**}', undefined],
  ['/{*}/b/{**}', undefined],
  ['/{**}/b', undefined],
  ['/a/*', undefined],
  ['*/a', undefined],
  ['/a/{**}/{*}', 'is not the last operator'],
  ['/a/{x}', 'neither'],
  ['/a/{*}b', 'neither'],
  ['/a*/{*}', 'contains "*"'],
  ['/a//{*}', "can't stand"],
  ['a/{*}', 'begins with /'],
])('the path %s of an AuthorizationPolicy', (path, problem) => {
  const lines = said(`apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: paths }
spec: { rules: [{ to: [{ operation: { paths: ["${path}"] } }] }] }
`)
  if (problem === undefined) expect(lines).toEqual([])
  else expect(lines.join()).toContain(problem)
})
