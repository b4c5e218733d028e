import { describe, expect, it } from 'vitest'
import { VirtualHostIndex } from './virtual-hosts.ts'

function index(domains: string[], ignorePort = false): VirtualHostIndex<string> {
  const hosts = new VirtualHostIndex<string>(ignorePort)
  for (const domain of domains) hosts.add(domain, domain, 'test')
  return hosts
}

describe('virtual hosts', () => {
  it('are found exactly, by suffix, by prefix, by star, in that order and the longest first', () => {
    const hosts = index(['*', 'a.test', '*.test', '*.b.test', 'a.*', 'a.c*'])
    expect(hosts.find('A.Test')).toBe('a.test')
    expect(hosts.find('x.test')).toBe('*.test')
    expect(hosts.find('x.b.test')).toBe('*.b.test')
    expect(hosts.find('a.com')).toBe('a.c*')
    expect(hosts.find('a.org')).toBe('a.*')
    expect(hosts.find('other')).toBe('*')
    expect(hosts.find('.test')).toBe('*')
  })

  it('keep ports apart, unless they are to be ignored', () => {
    expect(index(['a']).find('a:80')).toBeNull()
    expect(index(['a'], true).find('a:80')).toBe('a')
  })

  it('refuse a domain twice', () => {
    expect(() => index(['a.test', 'A.test'])).toThrow(/Duplicate entry of domain A.test/)
    expect(() => index(['*', '*'])).toThrow(/Only a single wildcard/)
  })
})
