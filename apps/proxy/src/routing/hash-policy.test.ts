import { RouteAction_HashPolicy } from '@weft/contracts/envoy/config/route/v3/route_components'
import { headerName } from '@weft/http/header-name'
import { RequestHead } from '@weft/http/message'
import { describe, expect, it } from 'vitest'
import { Hash64, xxHash64 } from '../upstream/load-balancers/hash64.ts'
import { compileHashPolicies } from './hash-policy.ts'

/** The hash by one header of a request; null: there is none. */
function hashBy(name: string, regex?: string): string | null {
  const request = new RequestHead()
  Object.assign(request, { method: 'GET', path: '/a?b', authority: 'one.test' })
  request.headers.append(headerName('x-a'), 'value')
  const regexRewrite = regex === undefined ? undefined : { pattern: { regex }, substitution: 'x' }
  const policy = RouteAction_HashPolicy.fromPartial({
    policySpecifier: { $case: 'header', value: { headerName: name, regexRewrite } },
  })
  const source = { request, clientAddress: '', connectionName: '', filterState: new Map(), setCookie: () => {} }
  const into = new Hash64()
  return compileHashPolicies([policy], 'test')!.hash(source, into) ? `${into.hi} ${into.lo}` : null
}

const hashOf = (text: string) => {
  const { hi, lo } = xxHash64(text, new Hash64())
  return `${hi} ${lo}`
}

describe('a hash policy of a header', () => {
  it.each([
    ['x-a', 'value'],
    [':authority', 'one.test'],
    ['Host', 'one.test'],
    [':path', '/a?b'],
    [':method', 'GET'],
  ])('hashes what %s says', (name, value) => {
    expect(hashBy(name)).toBe(hashOf(value))
  })

  it('hashes nothing where it is absent, and what a rewrite makes of it', () => {
    expect(hashBy('x-none')).toBeNull()
    expect(hashBy(':authority', '^one')).toBe(hashOf('x.test'))
  })
})
