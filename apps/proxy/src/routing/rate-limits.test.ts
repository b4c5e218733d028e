import {
  RateLimit,
  type RateLimit_Action,
  RateLimit_Action_MetaData_Source as Source,
} from '@weft/contracts/envoy/config/route/v3/route_components'
import { RateLimitResponse_RateLimit_Unit as Unit } from '@weft/contracts/envoy/service/ratelimit/v3/rls'
import { describe, expect, it } from 'vitest'
import { type FakeRequest, FakeStream } from '../filters/http/fake-stream.ts'
import { limitHeaders, retryAfter } from '../filters/http/ratelimit/limit-headers.ts'
import { Runtime } from '../plan/runtime.ts'
import { compileFilterRateLimits, compileRateLimits, type Descriptor, describeRequest } from './rate-limits.ts'

function describeBy(actions: NonNullable<RateLimit_Action['actionSpecifier']>[], request: FakeRequest, more = {}): Descriptor[] {
  const limit = RateLimit.fromPartial({ actions: actions.map((actionSpecifier) => ({ actionSpecifier })), ...more })
  const descriptors: Descriptor[] = []
  const scope = { stage: 0, onDone: false, localCluster: 'local', runtime: new Runtime() }
  describeRequest(compileRateLimits([limit], 'test'), scope, new FakeStream(request), descriptors)
  return descriptors
}

const entry = (key: string, value: string): Descriptor[] => [
  { entries: [{ key, value }], limit: null, hits: null, negative: false, told: null },
]
const route = { name: '', virtualHost: '', cluster: 'c', metadata: { n: { k: 'v' } } }

describe('descriptors of a request', () => {
  it('are empty, and sent, where all that they would hold is left out', () => {
    const value = { headerName: 'x', descriptorKey: 'x', skipIfAbsent: true }
    expect(describeBy([{ $case: 'requestHeaders', value }], {})).toMatchObject([{ entries: [] }])
  })

  it.each<[string, NonNullable<RateLimit_Action['actionSpecifier']>, FakeRequest, Descriptor[]]>([
    ['source cluster', { $case: 'sourceCluster', value: {} }, {}, entry('source_cluster', 'local')],
    ['destination cluster', { $case: 'destinationCluster', value: {} }, { route }, entry('destination_cluster', 'c')],
    ['address', { $case: 'remoteAddress', value: {} }, {}, entry('remote_address', '127.0.0.1')],
    [
      'masked address',
      { $case: 'maskedRemoteAddress', value: { v4PrefixMaskLen: 12, v6PrefixMaskLen: undefined } },
      { info: { downstreamRemoteAddress: '10.31.5.6' } },
      entry('masked_remote_address', '10.16.0.0/12'),
    ],
    [
      'masked IPv6 address',
      { $case: 'maskedRemoteAddress', value: { v4PrefixMaskLen: undefined, v6PrefixMaskLen: 32 } },
      { info: { downstreamRemoteAddress: '2001:db8:1::2' } },
      entry('masked_remote_address', '2001:db8::/32'),
    ],
    [
      'a key',
      { $case: 'genericKey', value: { descriptorKey: '', descriptorValue: 'g', defaultValue: '' } },
      {},
      entry('generic_key', 'g'),
    ],
    [
      'a query parameter',
      { $case: 'queryParameters', value: { queryParameterName: 'q', descriptorKey: 'k', skipIfAbsent: false } },
      { path: '/?q=%311' },
      entry('k', '11'),
    ],
    [
      'an address of a network',
      {
        $case: 'remoteAddressMatch',
        value: {
          descriptorKey: '',
          descriptorValue: 'in',
          defaultValue: '',
          addressMatcher: { ranges: [{ addressPrefix: '127.0.0.0', prefixLen: 8 }], invertMatch: false },
        },
      },
      {},
      entry('remote_address_match', 'in'),
    ],
    [
      'no header',
      {
        $case: 'headerValueMatch',
        value: { descriptorKey: '', descriptorValue: 'no', defaultValue: '', expectMatch: false, headers: [] },
      },
      {},
      [],
    ],
    [
      'an absent header',
      { $case: 'requestHeaders', value: { headerName: 'x', descriptorKey: 'x', skipIfAbsent: false } },
      {},
      [],
    ],
  ])('%s', (_name, action, request, expected) => {
    expect(describeBy([action], request)).toEqual(expected)
  })

  it('say how many hits they count for by limits of filters, and their limit', () => {
    const key: NonNullable<RateLimit_Action['actionSpecifier']> = {
      $case: 'genericKey',
      value: { descriptorKey: '', descriptorValue: 'g', defaultValue: '' },
    }
    const hitsOf = (hitsAddend: object) => {
      const limit = RateLimit.fromPartial({ actions: [{ actionSpecifier: key }], hitsAddend })
      return compileFilterRateLimits([limit], 'test')[0]?.describe(new FakeStream(), 'local')?.hits
    }
    expect([hitsOf({ number: 3 }), hitsOf({ format: '%BYTES_RECEIVED%' }), hitsOf({ format: '%REQ(:METHOD)%' })]).toEqual([
      3,
      0,
      undefined,
    ])
    const limit = { overrideSpecifier: { $case: 'rateLimit', value: { requestsPerUnit: 5, unit: 1 } } }
    expect(describeBy([key], {}, { limit })[0]?.limit).toEqual({ requestsPerUnit: 5, unit: 1 })
    expect(() => hitsOf({ format: '%A%B%' })).toThrow(/one command operator/)
    // Of routes nobody looks at it.
    expect(describeBy([key], {}, { hitsAddend: { format: '%A%B%' } })[0]?.hits).toBeNull()
  })

  it('leave out other stages and what runtime turns off', () => {
    const key: NonNullable<RateLimit_Action['actionSpecifier']> = {
      $case: 'genericKey',
      value: { descriptorKey: '', descriptorValue: 'g', defaultValue: '' },
    }
    expect(describeBy([key], {}, { stage: 1 })).toEqual([])
    const limits = compileRateLimits([RateLimit.fromPartial({ disableKey: 'k', actions: [{ actionSpecifier: key }] })], 'test')
    const runtime = new Runtime()
    runtime.replace({ 'ratelimit.k.http_filter_enabled': 0 })
    const descriptors: Descriptor[] = []
    describeRequest(limits, { stage: 0, onDone: false, localCluster: 'local', runtime }, new FakeStream(), descriptors)
    expect(descriptors).toEqual([])
  })
})

describe('x-ratelimit headers', () => {
  it('tell the limit nearest to its end, and all windows', () => {
    const status = (name: string, requestsPerUnit: number, unit: 1 | 2 | Unit.WEEK, limitRemaining: number, seconds: number) => ({
      code: 1 as const,
      currentLimit: { name, requestsPerUnit, unit },
      limitRemaining,
      durationUntilReset: { seconds, nanos: 0 },
      quota: undefined,
    })
    expect(limitHeaders([status('n', 10, 2, 3, 5), status('', 4, 1, 0, 1)], () => true)).toEqual([
      ['x-ratelimit-limit', '4, 10;w=60;name="n", 4;w=1'],
      ['x-ratelimit-remaining', '0'],
      ['x-ratelimit-reset', '1'],
    ])
    expect(limitHeaders([], () => true)).toEqual([])
    expect(limitHeaders([status('n', 10, Unit.WEEK, 3, 5)], () => true)[0]).toEqual([
      'x-ratelimit-limit',
      '10, 10;w=604800;name="n"',
    ])
    // One that is not to be told is left out, and all with it where it is the nearest.
    const both = [status('n', 10, 2, 3, 5), status('', 4, 1, 0, 1)]
    expect(limitHeaders(both, (index) => index === 1)[0]).toEqual(['x-ratelimit-limit', '4, 4;w=1'])
    expect(limitHeaders(both, (index) => index === 0)).toEqual([])
    expect(retryAfter([{ ...both[0]!, code: 2 }, both[1]!])).toBe(5)
    expect(retryAfter(both)).toBe(1)
  })
})

it.each([
  [Source.DYNAMIC, 'of the request'],
  [Source.ROUTE_ENTRY, 'v'],
  [Source.CLUSTER_ENTRY, 'of the cluster'],
  [Source.CLUSTER_LOCALITY_ENTRY, 'none'],
])('metadata are those of the source that is named: %i', (source, value) => {
  const metadataKey = { key: 'n', path: [{ segment: { $case: 'key' as const, value: 'k' } }] }
  const action = { descriptorKey: 'd', metadataKey, defaultValue: 'none', source, skipIfAbsent: false }
  const limit = RateLimit.fromPartial({ actions: [{ actionSpecifier: { $case: 'metadata', value: action } }] })
  const stream = new FakeStream({ route })
  stream.clusterMetadata = { n: { k: 'of the cluster' } }
  stream.metadata('n')['k'] = 'of the request'
  const descriptors: Descriptor[] = []
  const scope = { stage: 0, onDone: false, localCluster: 'local', runtime: new Runtime() }
  describeRequest(compileRateLimits([limit], 'test'), scope, stream, descriptors)
  expect(descriptors).toEqual(entry('d', value))
})
