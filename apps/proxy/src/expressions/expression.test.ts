import { Expr } from '@weft/contracts/google/api/expr/v1alpha1/syntax'
import { CelError } from '@weft/expressions/cel/values'
import { expect, test } from 'vitest'
import { FakeStream } from '../filters/http/fake-stream.ts'
import { compileParsed, compileText } from './expression.ts'
import { resultText } from './result-text.ts'

const stream = new FakeStream({
  method: 'POST',
  path: '/a/b?q=1',
  headers: { 'x-role': 'admin', 'x-name': Buffer.from('zoë').toString('latin1'), 'content-length': '5' },
})
stream.metadata('jwt')['claims'] = { groups: ['ops'], level: 3 }
stream.filterState.set('key', 'kept')

function evaluated(text: string): string | null {
  return resultText(compileText(text, 'test')(stream.format))
}

test.each([
  ['request.method', 'POST'],
  ['request.url_path', '/a/b'],
  ['request.query', 'q=1'],
  ['request.size', '5'],
  ["request.headers['X-Role']", 'admin'],
  ["request.headers['x-name'] == 'zo\\u00eb'", 'true'],
  ["request.headers[':method']", 'POST'],
  ['request.headers.host == request.host', 'true'],
  ['has(metadata.filter_metadata)', 'true'],
  ['has(xds.listener_metadata.filter_metadata)', 'false'],
  ['size(metadata)', null],
  [
    'metadata',
    'filter_metadata { key: "jwt" value { fields { key: "claims" value { struct_value { fields { key: "groups" value { list_value { values { string_value: "ops" } } } } fields { key: "level" value { number_value: 3 } } } } } } } ',
  ],
  ["request.headers['not a name']", null],
  ["'x-role' in request.headers && !('x-none' in request.headers)", 'true'],
  ['has(request.referer)', 'false'],
  ['request.toString', null],
  ['toString', null],
  ["'ops' in metadata.filter_metadata.jwt.claims.groups", 'true'],
  ['metadata.filter_metadata.jwt.claims.level == 3', 'true'],
  ['metadata.filter_metadata.constructor', null],
  ["filter_state['key'] == b'kept'", 'true'],
  ["source.address.startsWith('127.0.0.1')", 'true'],
  ['destination.port', '80'],
  ['connection.mtls', 'false'],
  ['upstream.address', null],
  ['response.code', null],
  ['1.0 / 3.0', '0.333333'],
  ['-0.00001', '-1e-05'],
  ['1e300 * 1e10', 'inf'],
])('%s', (text, expected) => {
  expect(evaluated(text)).toBe(expected)
})

const name = (text: string) => ({ exprKind: { $case: 'identExpr', value: { name: text } } }) as const
const field = (operand: string, member: string) =>
  ({ exprKind: { $case: 'selectExpr', value: { operand: name(operand), field: member, testOnly: false } } }) as const
const constant = (value: string) =>
  ({ exprKind: { $case: 'constExpr', value: { constantKind: { $case: 'stringValue', value } } } }) as const

test('the parsed form means the same', () => {
  const call = { function: '_==_', args: [field('request', 'method'), constant('POST')] }
  const source = Expr.fromPartial({ exprKind: { $case: 'callExpr', value: call } })
  expect(compileParsed(source, 'test')(stream.format)).toBe(true)
})

test('a message that is made, a way through a list and nothing at all are refused at their place', () => {
  const made = Expr.fromPartial({ exprKind: { $case: 'structExpr', value: { messageName: 'a.B' } } })
  const through = Expr.fromPartial({ exprKind: { $case: 'comprehensionExpr', value: {} } })
  for (const source of [made, through, Expr.fromPartial({}), undefined])
    expect(() => compileParsed(source, 'here')).toThrow(expect.objectContaining({ where: { path: 'here' } }))
})

test('a pattern that a request brings may be bad, which is an error of that request', () => {
  const bad = new FakeStream({ path: '[' })
  expect(compileText("'x'.matches(request.path)", 'test')(bad.format)).toBeInstanceOf(CelError)
})
