import { describe, expect, it } from 'vitest'
import { Duration, parseDuration } from './duration.ts'

describe('durations', () => {
  it.each([
    ['0', '0s'],
    ['5s', '5s'],
    ['19ms', '19ms'],
    ['1h15m30.918273645s', '1h15m30.918273645s'],
    ['1.5h', '1h30m0s'],
    ['-1.5s', '-1.5s'],
    ['.5s', '500ms'],
    ['5.s', '5s'],
    ['100us', '100\u00b5s'],
    ['2540400h10m10.000000001s', '2540400h10m10.000000001s'],
    ['90m', '1h30m0s'],
  ])('reads %s and prints %s', (text, printed) => {
    expect(parseDuration(text)?.toString()).toBe(printed)
  })

  it.each(['', '5', 's', '-', '.', '.s', '5 s', '1d', '5s-3s', '3000000h', '1e3s', 'x'.repeat(1000)])('refuses %s', (text) => {
    expect(parseDuration(text)).toBeUndefined()
  })

  it('keeps sign and parts together', () => {
    expect(Duration.fromMilliseconds(-1500)).toEqual(new Duration(-1, -500_000_000))
    expect(new Duration(1, 5).nanoseconds).toBe(1_000_000_005n)
    expect(new Duration(1, 5).compare(new Duration(1, 6))).toBeLessThan(0)
  })
})
