import { AdmissionControl } from '@weft/contracts/envoy/extensions/filters/http/admission_control/v3/admission_control'
import { headerName } from '@weft/http/header-name'
import { describe, expect, it } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { admissionControl } from './index.ts'
import { RecentRequests } from './recent-requests.ts'

const percent = (value: number) => ({ runtimeKey: 'x', defaultValue: { value } })

/** A filter whose chance is `random`; each call plays one request to its answer, and tells whether that was turned away. */
function filterOf(source: Parameters<typeof AdmissionControl.fromPartial>[0], random = 0.5) {
  const context = new FakeContext()
  context.runtime.random = () => random
  const whole = { evaluationCriteria: { $case: 'successCriteria' as const, value: {} }, ...source }
  const filter = admissionControl.compile(AdmissionControl.encode(AdmissionControl.fromPartial(whole)).finish(), context)
  const play = (status: number | null, grpcStatus?: string): boolean => {
    const stream = new FakeStream()
    const one = filter.start(stream, undefined)
    one?.onRequestHeaders?.(stream, true)
    if (stream.replied === null && status !== null) {
      stream.response.status = status
      if (grpcStatus !== undefined) {
        stream.response.headers.append(headerName('content-type'), 'application/grpc')
        stream.response.headers.append(headerName('grpc-status'), grpcStatus)
      }
      one?.onResponseHeaders?.(stream, grpcStatus !== undefined)
    }
    one?.onComplete?.(stream)
    return stream.replied !== null
  }
  const count = (name: string) => context.counter(`http.test.admission_control.rq_${name}`)
  return { play, count, close: () => context.close() }
}

describe('admission_control', () => {
  it('lets everybody in as long as requests go well, and turns some away when they do not', () => {
    const { play, count, close } = filterOf({})
    for (let i = 0; i < 20; i++) expect(play(200)).toBe(false)
    for (let i = 0; i < 100 && !play(503); i++);
    expect(count('rejected')).toBe(1)
    // What was turned away counts as neither.
    expect(count('success')).toBe(20)
    expect(count('failure')).toBeGreaterThan(15)
    close()
  })

  it('turns away no more than it may', () => {
    const { play, count, close } = filterOf({ maxRejectionProbability: percent(30) }, 0.4)
    for (let i = 0; i < 100; i++) play(503)
    expect(count('rejected')).toBe(0)
    close()
  })

  it('lets everybody in where there are few requests', () => {
    const { play, count, close } = filterOf({ rpsThreshold: { runtimeKey: 'y', defaultValue: 1000 } })
    for (let i = 0; i < 100; i++) play(503)
    expect(count('rejected')).toBe(0)
    close()
  })

  it('counts by the status of HTTP or gRPC, and what had no answer as a failure', () => {
    const { play, count, close } = filterOf({ maxRejectionProbability: percent(0) })
    play(404)
    play(200, '5')
    expect(count('success')).toBe(2)
    play(200, '14')
    play(null)
    expect(count('failure')).toBe(2)
    close()
  })
})

it('requests count for a window of time', () => {
  let now = 0
  const recent = new RecentRequests(3000, () => now)
  recent.record(true)
  now = 1500
  recent.record(false)
  expect(recent.counts).toEqual({ total: 2, succeeded: 1 })
  expect(recent.rate).toBeCloseTo(2 / 3)
  now = 3200
  expect(recent.counts).toEqual({ total: 1, succeeded: 0 })
  now = 9000
  expect(recent.counts).toEqual({ total: 0, succeeded: 0 })
})
