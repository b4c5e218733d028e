import { rotationDelayMs } from '@weft/identity/rotation'
import { object } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { casesOf, durationMs, goTime, play, table } from './tables.ts'

const now = new Date('2026-01-01T00:00:00Z')

/** When a certificate is rotated, without and with jitter. */
export function rotationCases(dir: string): CaseResult[] {
  const exact = casesOf(table(dir, 'secretcache.json', 'TestRotateTimeNoJitter', 'cases'), 'rotation').map(([name, one]) => {
    const [created = now, expires = now] = [goTime(one['created'], now), goTime(one['expire'], now)]
    const expected = durationMs(one['expected'])
    return play(
      name,
      expected,
      () => rotationDelayMs(created, expires, now, Number(one['gracePeriodRatio']), 0),
      (actual) => actual === expected,
    )
  })
  const spread = casesOf(table(dir, 'secretcache.json', 'TestRotateTimeWithJitter', 'cases'), 'rotation').map(([name, one]) => {
    const [created = now, expires = now] = [goTime(one['created'], now), goTime(one['expire'], now)]
    const limits = object(one['expectedDelay'] ?? null, 'expectedDelay')
    const [least, most] = [durationMs(limits['min']), durationMs(limits['max'])]
    return play(
      name,
      { least, most },
      () => {
        const delays = Array.from({ length: 1_000 }, () =>
          rotationDelayMs(created, expires, now, Number(one['gracePeriodRatio']), Number(one['jitter'])),
        )
        return delays.filter((delay) => delay < least || delay > most)
      },
      (actual) => Array.isArray(actual) && actual.length === 0,
    )
  })
  return [...exact, ...spread]
}
