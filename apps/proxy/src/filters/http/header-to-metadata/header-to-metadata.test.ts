import { Config } from '@weft/contracts/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata'
import { describe, expect, it } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { headerToMetadata } from './index.ts'

describe('header_to_metadata', () => {
  it('counts what its rules come to, where it has a prefix', () => {
    const context = new FakeContext()
    const source = Config.fromPartial({
      statPrefix: 'p',
      requestRules: [
        { header: 'x-a', onHeaderPresent: { key: 'a' }, onHeaderMissing: { key: 'm', value: 'none' } },
        { header: 'x-e', onHeaderPresent: { key: 'e', encode: 1 } },
      ],
    })
    const filter = headerToMetadata.compile(Config.encode(source).finish(), context)
    for (const headers of [{ 'x-a': '1' }, {}, { 'x-a': 'y'.repeat(9000) }, { 'x-e': '!' }] as Record<string, string>[]) {
      const stream = new FakeStream({ headers })
      filter.start(stream, undefined)?.onRequestHeaders?.(stream, true)
    }
    const count = (name: string) => context.counter(`http_filter_name.p.${name}`)
    expect(count('request_rules_processed')).toBe(8)
    expect(count('request_metadata_added')).toBe(3)
    expect(count('request_header_not_found')).toBe(2)
    expect(count('header_value_too_long')).toBe(1)
    expect(count('base64_decode_failed')).toBe(1)
    context.close()
  })

  it.each([
    ['a=1', '1'],
    ['b=2', 'none'],
    ['a=', 'none'],
    ['a=""', 'none'],
  ])('takes the cookie a of %s for %s', (cookie, noted) => {
    const context = new FakeContext()
    const source = Config.fromPartial({
      requestRules: [{ cookie: 'a', onHeaderPresent: { key: 'k' }, onHeaderMissing: { key: 'k', value: 'none' } }],
    })
    const filter = headerToMetadata.compile(Config.encode(source).finish(), context)
    const stream = new FakeStream({ headers: { cookie } })
    filter.start(stream, undefined)?.onRequestHeaders?.(stream, true)
    expect(stream.metadataOrNull).toEqual({ 'envoy.filters.http.header_to_metadata': { k: noted } })
    context.close()
  })
})
