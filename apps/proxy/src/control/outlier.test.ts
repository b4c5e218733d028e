import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ProxyLog } from '../log.ts'
import { Stats } from '../observe/stats.ts'
import { cell, EndpointSlab, healthFlag } from '../upstream/endpoint-slab.ts'
import { EndpointSlots } from './endpoint-slots.ts'
import { Outliers } from './outlier.ts'
import type { OutlierEvent } from './outlier-events.ts'
import { assignment, resource } from './testing/resources.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** Ten endpoints under detection, whose numbers a test writes as workers would. */
function detect(config: string): {
  fail(host: number, which: number, count: number): void
  out(): number[]
  degrade(host: number): void
  degraded(): number[]
  stats: Stats
  events: OutlierEvent[]
  close(): void
} {
  const slab = new EndpointSlab(64)
  const stats = new Stats(null)
  const events: OutlierEvent[] = []
  const { bytes } = resource(
    'cluster',
    `{name: a, type: STATIC, connect_timeout: 1s, outlier_detection: {interval: 1s, base_ejection_time: 2s, ${config}}}`,
  )
  const ports = Array.from({ length: 10 }, (_, index) => 8000 + index)
  const slots = new EndpointSlots(slab)
  slots.assign(ClusterLoadAssignment.decode(resource('endpoints', assignment('a', ...ports)).bytes), 'unchecked')
  const outliers = new Outliers({
    slab,
    stats,
    log: new ProxyLog({ level: 'off' }).of('upstream'),
    random: () => 0,
    event: (event) => events.push(event),
  })
  outliers.follow({
    name: 'a',
    origin: 'static',
    version: '',
    updatedAt: new Date(),
    message: Cluster.decode(bytes),
    bytes,
    assignment: undefined,
    slots,
    membershipChanges: 0,
  })
  const slotOf = (host: number): number => slots.keys.get(`127.0.0.1:${8000 + host}`) ?? 0
  return {
    stats,
    events,
    fail: (host, which, count) => {
      slab.add(slotOf(host), which, count)
      outliers.look()
    },
    out: () =>
      ports.map((_, host) => host).filter((host) => (slab.get(slotOf(host), cell.health) & healthFlag.failedOutlierCheck) !== 0),
    degrade: (host) => {
      slab.setHealth(slotOf(host), healthFlag.degradedByAnswers, true)
      outliers.look()
    },
    degraded: () =>
      ports.map((_, host) => host).filter((host) => (slab.get(slotOf(host), cell.health) & healthFlag.degradedByAnswers) !== 0),
    close: () => outliers.close(),
  }
}

describe('outlier detection', () => {
  test('tells what happens to an endpoint, and how long after the last time', () => {
    const { fail, events, close } = detect(
      'consecutive_5xx: 3, enforcing_consecutive_gateway_failure: 0, consecutive_gateway_failure: 2',
    )
    fail(4, cell.consecutiveGatewayErrors, 2)
    fail(4, cell.consecutive5xx, 3)
    vi.advanceTimersByTime(3_000)
    fail(4, cell.consecutive5xx, 3)
    expect(events.map(({ cause, enforced, ejections }) => [cause, enforced, ejections])).toEqual([
      ['consecutive_gateway_failure', false, 0],
      ['consecutive_5xx', true, 1],
      [null, false, 1],
      ['consecutive_5xx', true, 2],
    ])
    expect(events.map(({ sinceLastMs }) => sinceLastMs)).toEqual([null, null, 2_000, 1_000])
    expect(events[0]).toMatchObject({ cluster: 'a', endpoint: '127.0.0.1:8004' })
    close()
  })

  test('ejects an endpoint after its failures in a row, longer each time, and takes it back', () => {
    const { fail, out, close } = detect('consecutive_5xx: 3')
    fail(4, cell.consecutive5xx, 2)
    vi.advanceTimersByTime(100)
    expect(out()).toEqual([])
    fail(4, cell.consecutive5xx, 1)
    vi.advanceTimersByTime(100)
    expect(out()).toEqual([4])
    vi.advanceTimersByTime(3_000)
    expect(out()).toEqual([])
    fail(4, cell.consecutive5xx, 3)
    vi.advanceTimersByTime(2_500)
    expect(out()).toEqual([4])
    vi.advanceTimersByTime(3_000)
    expect(out()).toEqual([])
    close()
  })

  test('lets an endpoint that says it is degraded be that for a while, longer each time, and not ejected', () => {
    const { degrade, degraded, out, stats, close } = detect('detect_degraded_hosts: true')
    degrade(3)
    degrade(3)
    expect(degraded()).toEqual([3])
    expect(out()).toEqual([])
    vi.advanceTimersByTime(2_500)
    expect(degraded()).toEqual([])
    degrade(3)
    vi.advanceTimersByTime(2_500)
    expect(degraded()).toEqual([3])
    vi.advanceTimersByTime(2_500)
    expect(degraded()).toEqual([])
    expect(stats.counter('cluster.a.outlier_detection.ejections_detected_degradation').value).toBe(2)
    close()
  })

  test('ejects no more than its share, and counts what it left', () => {
    const { fail, out, stats, close } = detect('consecutive_5xx: 1, max_ejection_percent: 20')
    for (const host of [0, 1, 2]) fail(host, cell.consecutive5xx, 1)
    vi.advanceTimersByTime(100)
    expect(out()).toEqual([0, 1])
    expect(stats.counter('cluster.a.outlier_detection.ejections_overflow').value).toBe(1)
    expect(stats.gauge('cluster.a.outlier_detection.ejections_active').value).toBe(2)
    close()
  })

  test('only counts gateway failures that are not enforced', () => {
    const { fail, out, stats, close } = detect('consecutive_gateway_failure: 1')
    fail(0, cell.consecutiveGatewayErrors, 1)
    vi.advanceTimersByTime(100)
    expect(stats.counter('cluster.a.outlier_detection.ejections_detected_consecutive_gateway_failure').value).toBe(1)
    expect(out()).toEqual([])
    close()
  })

  test('ejects the one whose success rate is far below the others', () => {
    const { fail, out, close } = detect('success_rate_request_volume: 10')
    for (let host = 0; host < 10; host++) fail(host, cell.requestsSuccess, 100)
    fail(7, cell.requestsError, 80)
    vi.advanceTimersByTime(1_000)
    expect(out()).toEqual([7])
    close()
  })
})
