import { describe, expect, it } from 'vitest'
import { compileInternalAddresses } from './internal-addresses.ts'

describe('addresses within the mesh', () => {
  it('are none without a word, private ones without ranges, and else those of the ranges', () => {
    const clients = ['10.0.0.1', '172.16.3.4', '127.0.0.1', 'fd00::1', '::1', '8.8.8.8', 'fe80::1', '100.64.0.1']
    const internal = (config: Parameters<typeof compileInternalAddresses>[0]) =>
      clients.filter(compileInternalAddresses(config, 'internal_address_config'))
    expect(internal(undefined)).toEqual([])
    expect(internal({ unixSockets: true, cidrRanges: [] })).toEqual(clients.slice(0, 5))
    expect(internal({ unixSockets: false, cidrRanges: [{ addressPrefix: '8.0.0.0', prefixLen: 8 }] })).toEqual(['8.8.8.8'])
  })
})
