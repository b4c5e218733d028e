import { UpstreamHttpProtocolOptions } from '@weft/contracts/envoy/config/core/v3/protocol'
import { headerName } from '@weft/http/header-name'
import { RequestHead } from '@weft/http/message'
import { describe, expect, it } from 'vitest'
import { compileAutoNames } from './auto-names.ts'

function names(options: Partial<UpstreamHttpProtocolOptions>, authority: string, header = '') {
  const request = new RequestHead()
  request.authority = authority
  if (header !== '') request.headers.append(headerName('x-host'), header)
  return compileAutoNames(UpstreamHttpProtocolOptions.fromPartial(options))?.(request) ?? null
}

describe('what a request has the handshake ask for', () => {
  const both = { autoSni: true, autoSanValidation: true }

  it('is nothing where the cluster does not say so', () => {
    expect(names({}, 'a.test')).toBeNull()
    expect(compileAutoNames(undefined)).toBeNull()
  })

  it('is its host, without the port', () => {
    expect(names(both, 'a.test:8443')).toEqual({ sni: 'a.test', san: 'a.test' })
    expect(names({ autoSni: true }, 'a.test')).toEqual({ sni: 'a.test', san: '' })
    expect(names({ autoSanValidation: true }, 'a.test')).toEqual({ sni: '', san: 'a.test' })
  })

  it('is no server name for an address, which a certificate may have', () => {
    expect(names(both, '10.0.0.1:80')).toEqual({ sni: '', san: '10.0.0.1' })
    expect(names(both, '[::1]:80')).toEqual({ sni: '', san: '::1' })
  })

  it('is what another header says, where there is one', () => {
    const options = { ...both, overrideAutoSniHeader: 'x-host' }
    expect(names(options, 'a.test', 'b.test')).toEqual({ sni: 'b.test', san: 'b.test' })
    expect(names(options, 'a.test')).toEqual({ sni: 'a.test', san: 'a.test' })
  })
})
