import { IPTagging } from '@weft/contracts/envoy/extensions/filters/http/ip_tagging/v3/ip_tagging'
import { headerName } from '@weft/http/header-name'
import { describe, expect, it } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { ipTagging } from './index.ts'

const range = (addressPrefix: string, prefixLen: number) => ({ addressPrefix, prefixLen })
const ipTags = [
  { ipTagName: 'inner', ipList: [range('10.1.0.0', 16), range('fd00::', 8)] },
  { ipTagName: 'outer', ipList: [range('10.0.0.0', 8)] },
]

function tagged(source: Parameters<typeof IPTagging.fromPartial>[0], address: string, headers: Record<string, string> = {}) {
  const context = new FakeContext()
  const filter = ipTagging.compile(IPTagging.encode(IPTagging.fromPartial({ ipTags, ...source })).finish(), context)
  const stream = new FakeStream({ headers, info: { downstreamRemoteAddress: address } })
  filter.start(stream, undefined)?.onRequestHeaders?.(stream, true)
  context.close()
  const name = headerName(source?.ipTagHeader?.header ?? 'x-envoy-ip-tags')
  const count = (stat: string) => context.counter(`http.test.ip_tagging.${stat}`)
  return { tags: stream.request.headers.get(name), routesCleared: stream.routesCleared, count }
}

describe('ip_tagging', () => {
  it.each([
    ['10.1.2.3', 'inner,outer'],
    ['10.2.2.3', 'outer'],
    ['fd00::1', 'inner'],
    ['9.9.9.9', null],
  ])('%s is %s', (address, tags) => {
    const found = tagged({}, address)
    expect(found.tags).toBe(tags)
    expect(found.routesCleared).toBe(tags === null ? 0 : 1)
    expect(found.count('total')).toBe(1)
    expect(found.count('no_hit')).toBe(tags === null ? 1 : 0)
    expect(found.count('outer.hit')).toBe(tags?.includes('outer') === true ? 1 : 0)
  })

  it('puts its tags in place of what came, or behind that', () => {
    const headers = { 'x-tags': 'forged' }
    expect(tagged({ ipTagHeader: { header: 'x-tags', action: 0 } }, '10.2.2.3', headers).tags).toBe('outer')
    expect(tagged({ ipTagHeader: { header: 'x-tags', action: 0 } }, '9.9.9.9', headers).tags).toBeNull()
    expect(tagged({ ipTagHeader: { header: 'x-tags', action: 1 } }, '10.2.2.3', headers).tags).toBe('forged,outer')
  })

  it('looks at requests from inside, or from outside, alone', () => {
    expect(tagged({ requestType: 1 }, '10.2.2.3').tags).toBeNull()
    expect(tagged({ requestType: 1 }, '10.2.2.3', { 'x-envoy-internal': 'true' }).tags).toBe('outer')
    expect(tagged({ requestType: 2 }, '10.2.2.3', { 'x-envoy-internal': 'true' }).tags).toBeNull()
  })
})
