import { describe, expect, it } from 'vitest'
import { compileRanges } from './address.ts'

describe('address ranges', () => {
  const set = (addressPrefix: string, prefixLen?: number) => compileRanges([{ addressPrefix, prefixLen }], 'ranges')

  it('hold what begins as they do', () => {
    expect(['10.1.2.3', '11.1.2.3', '::1'].map(set('10.0.0.0', 8))).toEqual([true, false, false])
    expect(['2001:db8::1', '2001:db9::1', '10.0.0.1'].map(set('2001:db8::', 32))).toEqual([true, false, false])
    expect(['10.1.2.3', '::1'].map(set('0.0.0.0'))).toEqual([true, false])
  })

  it('are of one family, also where IPv4 is written as IPv6', () => {
    expect(['127.0.0.1', '::ffff:127.0.0.1'].map(set('::ffff:127.0.0.0', 104))).toEqual([false, true])
    expect(['10.0.0.1', '::ffff:10.0.0.1'].map(set('10.0.0.0', 8))).toEqual([true, false])
  })

  it('are refused where they are none', () => {
    expect(() => set('10.0.0', 8)).toThrow('not a CIDR range: 10.0.0/8')
  })
})
