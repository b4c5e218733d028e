import { CustomHeaderConfig } from '@weft/contracts/envoy/extensions/http/original_ip_detection/custom_header/v3/custom_header'
import { XffConfig } from '@weft/contracts/envoy/extensions/http/original_ip_detection/xff/v3/xff'
import { headerName } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { describe, expect, it } from 'vitest'
import { any } from '../../../testing/resources.ts'
import { compileOriginalAddress } from './original-address.ts'

const prefix = 'envoy.extensions.http.original_ip_detection.'
const custom = (source: Parameters<(typeof CustomHeaderConfig)['fromPartial']>[0]) => ({
  name: 'custom',
  typedConfig: any(
    `${prefix}custom_header.v3.CustomHeaderConfig`,
    CustomHeaderConfig.encode(CustomHeaderConfig.fromPartial({ headerName: 'x-real-ip', ...source })).finish(),
  ),
})
const xffBy = (source: Parameters<(typeof XffConfig)['fromPartial']>[0]) => ({
  name: 'xff',
  typedConfig: any(`${prefix}xff.v3.XffConfig`, XffConfig.encode(XffConfig.fromPartial(source)).finish()),
})
const xff = (xffNumTrustedHops: number) => xffBy({ xffNumTrustedHops })
const near = xffBy({
  xffTrustedCidrs: { cidrs: ['10.0.0.0', '127.0.0.0'].map((addressPrefix) => ({ addressPrefix, prefixLen: 8 })) },
})
const alone = { useRemoteAddress: false, xffTrustedHops: 0 }

function detected(extensions: Parameters<typeof compileOriginalAddress>[0], headers: Record<string, string>) {
  const table = new HeaderTable()
  for (const [name, value] of Object.entries(headers)) table.append(headerName(name), value)
  return compileOriginalAddress(extensions, alone, 'path')?.find(table, '127.0.0.1')
}

// As Envoy 1.40 answered the same requests.
describe('the address that a request comes from', () => {
  it.each([
    ['a header', [custom({})], { 'x-real-ip': '10.0.0.5' }, { address: '10.0.0.5', trusted: false }],
    [
      'a header that is trusted',
      [custom({ allowExtensionToSetAddressAsTrusted: true })],
      { 'x-real-ip': '::1' },
      { address: '::1', trusted: true },
    ],
    [
      'who is no trusted proxy',
      [near],
      { 'x-forwarded-for': '1.1.1.1, 2.2.2.2,10.0.0.2' },
      { address: '2.2.2.2', trusted: false },
    ],
    ['the first of trusted proxies', [near], { 'x-forwarded-for': '10.0.0.1,10.0.0.2' }, { address: '10.0.0.1', trusted: false }],
    ['nothing, where a list has other things', [near], { 'x-forwarded-for': 'bad,10.0.0.2' }, null],
    ['nothing, where the header is no address', [custom({})], { 'x-real-ip': 'me' }, null],
    ['a refusal, where one is asked for', [custom({ rejectWithStatus: { code: 401 } })], {}, { refusal: 401 }],
    ['a refusal with a status that is none', [custom({ rejectWithStatus: { code: 200 } })], {}, { refusal: 403 }],
    [
      'the next extension',
      [custom({}), xff(1)],
      { 'x-forwarded-for': '1.1.1.1, 2.2.2.2, 3.3.3.3' },
      { address: '2.2.2.2', trusted: false },
    ],
    ['X-Forwarded-For with one address', [xff(0)], { 'x-forwarded-for': '1.1.1.1' }, { address: '1.1.1.1', trusted: true }],
    ['nothing, where it has too few', [xff(1)], { 'x-forwarded-for': '1.1.1.1' }, null],
  ] as const)('is told by %s', (_what, extensions, headers, wanted) => {
    expect(detected([...extensions], headers)).toEqual(wanted)
  })

  it('is not looked for beside use_remote_address or xff_num_trusted_hops, nor by what is not known', () => {
    expect(() => compileOriginalAddress([xff(0)], { ...alone, useRemoteAddress: true }, 'path')).toThrow('use_remote_address')
    expect(() => compileOriginalAddress([xff(0)], { ...alone, xffTrustedHops: 1 }, 'path')).toThrow('xff_num_trusted_hops')
    expect(() => compileOriginalAddress([{ name: 'other', typedConfig: undefined }], alone, 'path')).toThrow('not supported')
  })
})
