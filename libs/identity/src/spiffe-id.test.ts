import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { expandTrustDomains, parseSpiffeId, parseTrustDomain, tryParseSpiffeId, workloadId } from './spiffe-id.ts'

describe('a SPIFFE id', () => {
  it('is read into trust domain, path and workload', () => {
    expect(parseSpiffeId('spiffe://cluster.local/ns/default/sa/reviews')).toEqual({
      uri: 'spiffe://cluster.local/ns/default/sa/reviews',
      trustDomain: 'cluster.local',
      path: '/ns/default/sa/reviews',
      workload: { namespace: 'default', serviceAccount: 'reviews' },
    })
    expect(parseSpiffeId('spiffe://a_b-c.d').workload).toBeUndefined()
    expect(parseSpiffeId('spiffe://td/Any/Path_1.x').path).toBe('/Any/Path_1.x')
  })

  it.each([
    ['', 'does not start with spiffe://'],
    ['https://td/a', 'does not start with spiffe://'],
    ['SPIFFE://td/a', 'does not start with spiffe://'],
    ['spiffe://', 'trust domain is empty'],
    ['spiffe:///a', 'trust domain is empty'],
    ['spiffe://user@td/a', 'user part'],
    ['spiffe://td:80/a', 'has a port'],
    ['spiffe://TD/a', 'character other than a-z'],
    ['spiffe://td%41/a', 'character other than a-z'],
    ['spiffe://td?x', 'character other than a-z'],
    ['spiffe://td#x', 'character other than a-z'],
    ['spiffe://td/', 'empty segment'],
    ['spiffe://td/a/', 'empty segment'],
    ['spiffe://td//a', 'empty segment'],
    ['spiffe://td/./a', "segment '.'"],
    ['spiffe://td/a/..', "segment '..'"],
    ['spiffe://td/a b', 'path segment has a character'],
    ['spiffe://td/a%20b', 'path segment has a character'],
    ['spiffe://td/a?q', 'path segment has a character'],
    ['spiffe://td/a#f', 'path segment has a character'],
    ['spiffe://td/ä', 'path segment has a character'],
    [`spiffe://${'t'.repeat(256)}/a`, 'longer than 255'],
    [`spiffe://td/${'a'.repeat(2048)}`, 'longer than 2048'],
  ])('is refused with the rule it breaks: %s', (uri, rule) => {
    expect(() => parseSpiffeId(uri)).toThrow(rule)
    expect(tryParseSpiffeId(uri)).toBeUndefined()
  })

  it('survives whatever is thrown at it: an id comes back as it went in, all else is undefined', () => {
    const parts = fc.constantFrom('spiffe://', '/', 'td', '..', '.', 'ns', 'sa', '%2e', ':', '@', 'Ä', '\0', ' ')
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('')
        const id = tryParseSpiffeId(text)
        return id === undefined || (`spiffe://${id.trustDomain}${id.path}` === text && id.uri === text)
      }),
      { seed: 7, numRuns: 2_000 },
    )
  })
})

describe('the id of a workload', () => {
  it('needs a namespace and a service account', () => {
    expect(workloadId('cluster.local', 'ns', 'sa').uri).toBe('spiffe://cluster.local/ns/ns/sa/sa')
    expect(() => workloadId('cluster.local', '', 'sa')).toThrow('namespace or service account empty')
    expect(() => workloadId('cluster.local', 'a/b', 'sa')).toThrow('cannot stand in a SPIFFE id')
  })

  it('is known under other trust domains by their aliases', () => {
    expect(expandTrustDomains(['spiffe://a/ns/n/sa/s', 'no id'], ['b', 'a'])).toEqual([
      'spiffe://a/ns/n/sa/s',
      'spiffe://b/ns/n/sa/s',
      'no id',
    ])
  })
})

it('a trust domain is checked by the same rules', () => {
  expect(parseTrustDomain('cluster.local')).toBe('cluster.local')
  expect(() => parseTrustDomain('Cluster')).toThrow("'Cluster' is not a trust domain")
})
