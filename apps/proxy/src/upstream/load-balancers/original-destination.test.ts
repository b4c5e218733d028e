import { expect, test } from 'vitest'
import { metadataReader } from '../../shared/metadata-path.ts'
import { originalDestination } from './original-destination.ts'
import type { PickContext } from './pick-context.ts'
import type { OriginalDestinationPolicy } from './policy.ts'

const policy: OriginalDestinationPolicy = {
  header: 'x-to',
  metadata: metadataReader({ key: 'a', path: [{ segment: { $case: 'key', value: 'to' } }] }),
  portOverride: null,
  cleanupMs: 1000,
}

/** Where a request with this metadata and header goes that was caught on its way to 10.0.0.3:3. */
function wanted(metadata: Record<string, unknown> | null, header: string | null, over: Partial<OriginalDestinationPolicy> = {}) {
  const context = { metadata: () => metadata, requestHeader: () => header, originalDestination: '10.0.0.3:3' }
  const found = originalDestination({ ...policy, ...over }, context as unknown as PickContext)
  return found.type === 'address' && found.address.type === 'ip' ? `${found.address.host} ${found.address.port}` : found.type
}

const told = (to: unknown) => ({ a: { to } })

test.each([
  ['metadata before all else', wanted(told('10.0.0.1:1'), '10.0.0.2:2'), '10.0.0.1 1'],
  ['the header, where metadata says nothing', wanted({ a: {} }, '10.0.0.2:2'), '10.0.0.2 2'],
  ['the header, where metadata is no text', wanted(told(7), '10.0.0.2:2'), '10.0.0.2 2'],
  ['the way it was caught on, where nothing else says', wanted(null, null), '10.0.0.3 3'],
  [
    'the way it was caught on, where nothing else is looked at',
    wanted(told('10.0.0.1:1'), '10.0.0.2:2', { header: null, metadata: null }),
    '10.0.0.3 3',
  ],
  ['the port that is set in its place', wanted(told('[::1]:1'), null, { portOverride: 9 }), '::1 9'],
  ['nowhere, where metadata is no address', wanted(told('shop:1'), '10.0.0.2:2'), 'invalid'],
])('a request goes by %s', (_, found, expected) => {
  expect(found).toBe(expected)
})
