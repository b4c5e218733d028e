import { RetryPolicy } from '@weft/contracts/envoy/config/route/v3/route_components'
import { headerName } from '@weft/http/header-name'
import { RequestHead } from '@weft/http/message'
import { describe, expect, it } from 'vitest'
import { compileRetryPolicy, retryPlanFor } from './retry-policy.ts'

const policy = compileRetryPolicy(RetryPolicy.fromPartial({ retryOn: '5xx', numRetries: 2 }), 'test')

function asking(...headers: [string, string][]): RequestHead {
  const request = new RequestHead()
  for (const [name, value] of headers) request.headers.append(headerName(name), value)
  return request
}

// As Envoy 1.40 does.
describe('the retries of a request', () => {
  it('are those of its route, of which each header of its own changes a part', () => {
    expect(retryPlanFor(policy, asking())).toBe(policy)
    expect(retryPlanFor(policy, asking(['x-envoy-max-retries', '0']))).toMatchObject({ on: policy.on, retries: 0 })
    const codes = retryPlanFor(policy, asking(['x-envoy-retriable-status-codes', '404,x']))
    expect([...(codes?.statusCodes ?? [])]).toEqual([404])
    expect(retryPlanFor(policy, asking(['x-envoy-retriable-header-names', 'x-a, x-b']))?.headers).toHaveLength(2)
  })

  it('are none without a policy, unless it says for what', () => {
    expect(retryPlanFor(null, asking(['x-envoy-max-retries', '3'], ['x-envoy-retriable-status-codes', '404']))).toBeNull()
    const plan = retryPlanFor(null, asking(['x-envoy-retry-on', '5xx'], ['x-envoy-max-retries', '3']))
    expect(plan).toMatchObject({ on: policy.on, retries: 3 })
  })

  it('are none where the policy’s request headers leave it out, whatever it asks for', () => {
    const some = compileRetryPolicy(
      RetryPolicy.fromPartial({
        retryOn: '5xx',
        perTryTimeout: { seconds: 1 },
        retriableRequestHeaders: [{ name: 'x-a', headerMatchSpecifier: { $case: 'presentMatch', value: true } }],
      }),
      'test',
    )
    expect(retryPlanFor(some, asking(['x-envoy-retry-on', '5xx']))).toMatchObject({ on: 0, perTryTimeoutMs: 1000 })
    expect(retryPlanFor(some, asking(['x-a', '1']))).toBe(some)
  })
})
