import { Permission, Principal, RBAC, RBAC_Action } from '@weft/contracts/envoy/config/rbac/v3/rbac'
import { UriTemplateMatchConfig } from '@weft/contracts/envoy/extensions/path/match/uri_template/v3/uri_template_match'
import { Expr } from '@weft/contracts/google/api/expr/v1alpha1/syntax'
import { expect, test } from 'vitest'
import { FakeStream } from '../fake-stream.ts'
import { compileEngine } from './engine.ts'

const anybody = Principal.fromPartial({ identifier: { $case: 'any', value: true } })
const path = (value: string) =>
  Permission.fromPartial({
    rule: { $case: 'urlPath', value: { rule: { $case: 'path', value: { matchPattern: { $case: 'prefix', value } } } } },
  })
const rules = (action: RBAC_Action, policies: Record<string, Permission[]>) =>
  compileEngine(
    RBAC.fromPartial({
      action,
      policies: Object.fromEntries(
        Object.entries(policies).map(([name, permissions]) => [name, { permissions, principals: [anybody] }]),
      ),
    }),
    'test',
  )

test('of several policies that hold the first by name decides', () => {
  const decide = rules(RBAC_Action.DENY, { b: [path('/x')], a: [path('/x/y')] })
  expect(decide(new FakeStream({ path: '/x/y' }))).toEqual({ allowed: false, policy: 'a' })
  expect(decide(new FakeStream({ path: '/x' }))).toEqual({ allowed: false, policy: 'b' })
  expect(decide(new FakeStream({ path: '/' }))).toEqual({ allowed: true, policy: null })
})

test('LOG refuses nothing, and tells access logs whether a policy held', () => {
  const decide = rules(RBAC_Action.LOG, { audit: [path('/x')] })
  for (const [asked, hint] of [
    ['/x', true],
    ['/', false],
  ] as const) {
    const stream = new FakeStream({ path: asked })
    expect(decide(stream).allowed).toBe(true)
    expect(stream.metadata('envoy.common')['access_log_hint']).toBe(hint)
  }
})

test('a path template is matched without the query', () => {
  const value = Buffer.from(UriTemplateMatchConfig.encode({ pathTemplate: '/users/*/files/**' }).finish())
  const typedConfig = { typeUrl: 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig', value }
  const template = Permission.fromPartial({ rule: { $case: 'uriTemplate', value: { name: 'template', typedConfig } } })
  const decide = rules(RBAC_Action.ALLOW, { files: [template] })
  expect(decide(new FakeStream({ path: '/users/ann/files/a/b?c=/d' })).allowed).toBe(true)
  expect(decide(new FakeStream({ path: '/users/ann/b/files/a' })).allowed).toBe(false)
})

test('a policy with a condition holds where that gives true: not where it gives an error, or no boolean', () => {
  const field = (name: string): Expr => {
    const operand = Expr.fromPartial({ exprKind: { $case: 'identExpr', value: { name: 'request' } } })
    return Expr.fromPartial({ exprKind: { $case: 'selectExpr', value: { operand, field: name } } })
  }
  const prefix = Expr.fromPartial({
    exprKind: { $case: 'constExpr', value: { constantKind: { $case: 'stringValue', value: '/x' } } },
  })
  const startsWith = { target: field('path'), function: 'startsWith', args: [prefix] }
  const allowed = [Expr.fromPartial({ exprKind: { $case: 'callExpr', value: startsWith } }), field('path'), field('referer')].map(
    (condition) => {
      const policy = { permissions: [path('/')], principals: [anybody], condition }
      const decide = compileEngine(RBAC.fromPartial({ policies: { p: policy } }), 'test')
      return ['/x', '/y'].filter((asked) => decide(new FakeStream({ path: asked })).allowed)
    },
  )
  expect(allowed).toEqual([['/x'], [], []])
})
