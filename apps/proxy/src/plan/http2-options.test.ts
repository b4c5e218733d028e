import { expect, it } from 'vitest'
import { compileClientHttp2Options, meshHttp2Options } from './http2-options.ts'
import { Runtime } from './runtime.ts'

it('how many resets are too many says the runtime, now and later, but for those between sidecars', () => {
  const runtime = new Runtime()
  const options = compileClientHttp2Options(undefined, runtime)
  const limits = (): number[] => [options.budget.prematureResetStreams, options.budget.prematureResetMs]
  expect(limits()).toEqual([500, 2000])
  runtime.replace({
    'overload.premature_reset_total_stream_count': 20,
    'overload.premature_reset_min_stream_lifetime_seconds': 4,
  })
  expect(limits()).toEqual([20, 5000])
  expect(meshHttp2Options(options).budget.prematureResetShare).toBe(Number.POSITIVE_INFINITY)
})
