import { expect, it } from 'vitest'
import { isTrustedPeer, parseXfcc, xfccIdentities } from './xfcc.ts'

it('a header of several hops is read hop by hop', () => {
  const hops = parseXfcc(
    'By=spiffe://td/by;Hash=ab;Subject="CN=a\\,b,O=\\"x\\"; y";URI=spiffe://td/one;DNS=x;DNS=y,Hash=cd;URI=spiffe://td/two',
  )
  expect(hops).toMatchObject([
    { by: ['spiffe://td/by'], hash: 'ab', uris: ['spiffe://td/one'], dns: ['x', 'y'] },
    { hash: 'cd', uris: ['spiffe://td/two'] },
  ])
  expect(xfccIdentities(hops)).toEqual(['spiffe://td/one', 'x', 'y', 'a,b', 'spiffe://td/two'])
})

it.each(['', 'junk', 'Subject="open', 'Subject="a"b', '=x', 'a=b,', `${'a'.repeat(70_000)}=b`])(
  'the form %s is refused',
  (header) => {
    expect(() => parseXfcc(header)).toThrow('error in parsing xfcc header')
  },
)

it('only loopback and the named ranges may speak for others', () => {
  expect(isTrustedPeer('127.0.0.9:1', [])).toBe(true)
  expect(isTrustedPeer('[::1]:1', [])).toBe(true)
  expect(isTrustedPeer('10.1.2.3:1', [])).toBe(false)
  expect(isTrustedPeer('10.1.2.3:1', ['10.0.0.0/8'])).toBe(true)
  for (const peer of ['', 'localhost:1', '10.1.2.3', '10.1.2.3:x', '[10.1.2.3]'])
    expect(isTrustedPeer(peer, ['10.0.0.0/8'])).toBe(false)
  expect(() => isTrustedPeer('10.1.2.3:1', ['10.0.0.0/33'])).toThrow('not an address range')
})
