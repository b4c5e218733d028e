import { bagOf, MutableBag } from '@weft/attributes/bag'
import { applyAttributes } from '@weft/attributes/decoding'
import type { AttributeValue } from '@weft/attributes/types'
import { wordReader } from '@weft/attributes/words'
import { ReportRequest, ReportRequest_RepeatedAttributesSemantics } from '@weft/contracts/istio/mixer/v1/report'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Stats } from '../../../observe/stats.ts'
import { TimerWheel } from '../../../transport/timer-wheel.ts'
import { mixerCounters } from './counters.ts'
import { ReportBatch } from './report-batch.ts'

function batch(options: { maxRecords?: number; send?: (report: Uint8Array) => Promise<void> } = {}) {
  const stats = new Stats(null)
  const counters = mixerCounters('http_mixer_filter', (name) => stats.counter(name))
  const sent: Record<string, AttributeValue | undefined>[][] = []
  const clock = { nowMs: 0 }
  const timers = new TimerWheel(5, () => clock.nowMs)
  onTestFinished(() => timers.close())
  const send =
    options.send ??
    (async (report: Uint8Array) => {
      sent.push(recordsOf(ReportRequest.decode(report)))
    })
  const made = new ReportBatch({ maxRecords: options.maxRecords ?? 1000, maxWaitMs: 1000, timers, counters, send })
  return { batch: made, sent, counters, timers, clock }
}

/** The records as Mixer sees them. */
function recordsOf(request: ReportRequest): Record<string, AttributeValue | undefined>[] {
  let bag = new MutableBag()
  return request.attributes.map((message) => {
    if (request.repeatedAttributesSemantics === ReportRequest_RepeatedAttributesSemantics.INDEPENDENT_ENCODING)
      bag = new MutableBag()
    applyAttributes(bag, message, wordReader(request.defaultWords))
    return Object.fromEntries([...bag.names()].map((name) => [name, bag.get(name)]))
  })
}

describe('report batches', () => {
  it('go after a second, with all records as they were', () => {
    const { batch: reports, sent, counters, clock, timers } = batch()
    const records = [
      { 'request.path': '/a', 'request.size': 1n },
      { 'request.path': '/a', 'request.size': 2n },
    ]
    for (const record of records) reports.add(bagOf(record))
    clock.nowMs = 900
    timers.turn()
    expect(sent).toEqual([])
    clock.nowMs = 1010
    timers.turn()
    expect(sent).toEqual([records])
    expect([counters.reportCalls.value, counters.remoteReportCalls.value]).toEqual([2, 1])
  })

  it('go when they are full', () => {
    const { batch: reports, sent } = batch({ maxRecords: 3 })
    for (let i = 0; i < 7; i++) reports.add(bagOf({ 'request.path': `/${i}` }))
    expect(sent.map((records) => records.length)).toEqual([3, 3])
    reports.flush()
    expect(sent.map((records) => records.length)).toEqual([3, 3, 1])
  })

  it('keep records apart that lack what others have, and lose none', () => {
    const { batch: reports, sent } = batch()
    const all: Record<string, AttributeValue>[] = []
    for (let i = 0; i < 100; i++) {
      const record: Record<string, AttributeValue> = { 'request.path': `/${i}` }
      for (let bit = 0; bit < 5; bit++) if ((i >> bit) & 1) record[`optional.${bit}`] = BigInt(i)
      all.push(record)
      reports.add(bagOf(record))
    }
    reports.flush()
    const key = (record: Record<string, AttributeValue | undefined>) =>
      Object.entries(record)
        .map(([name, value]) => `${name}=${value}`)
        .sort()
        .join()
    expect(sent.flat().map(key).sort()).toEqual(all.map(key).sort())
    expect(sent.length).toBeLessThanOrEqual(9)
  })

  it('go early when their words get long', () => {
    const { batch: reports, sent } = batch()
    for (let i = 0; i < 20; i++) reports.add(bagOf({ 'request.path': `${i}`.padEnd(100_000, 'x') }))
    expect(sent.length).toBeGreaterThan(0)
  })

  it('are thrown away and counted when Mixer does not take them', () => {
    const { batch: reports, counters } = batch({ maxRecords: 1, send: () => new Promise(() => {}) })
    for (let i = 0; i < 20; i++) reports.add(bagOf({ a: 'x' }))
    expect(counters.remoteReportCalls.value).toBe(16)
    expect(counters.reportDrops.value).toBe(4)
  })
})
