import { HeaderMutationRules } from '@weft/contracts/envoy/config/common/mutation_rules/v3/mutation_rules'
import { describe, expect, test } from 'vitest'
import { compileMutationRules } from './mutation-rules.ts'

const check = (rules: Parameters<typeof HeaderMutationRules.fromPartial>[0]) =>
  compileMutationRules(HeaderMutationRules.fromPartial(rules), 'test')

describe('what a service may do to headers', () => {
  test.each<[string, Parameters<typeof check>[0], string, string | null, string]>([
    ['an ordinary one', {}, 'x-a', '1', 'ok'],
    ['a routing one', {}, 'host', 'a', 'refused'],
    ['a routing one that is allowed', { allowAllRouting: true }, ':authority', 'a', 'ok'],
    ['one of Envoy', {}, 'x-envoy-a', '1', 'refused'],
    ['one of Envoy that is allowed', { allowEnvoy: true }, 'x-envoy-a', '1', 'ok'],
    ['one of the system', { disallowSystem: true }, ':path', '/', 'refused'],
    ['any', { disallowAll: true }, 'x-a', '1', 'refused'],
    ['one named, of none', { disallowAll: true, allowExpression: { regex: 'x-.*' } }, 'x-a', '1', 'ok'],
    ['one named as forbidden', { disallowExpression: { regex: 'x-a' }, disallowIsError: true }, 'x-a', null, 'error'],
    ['a removal of what every request has', { allowAllRouting: true }, 'host', null, 'refused'],
    ['a value that is none', {}, 'x-a', 'a\nb', 'refused'],
  ])('%s', (_name, rules, header, value, verdict) => {
    expect(check(rules)(header, value)).toBe(verdict)
  })
})
