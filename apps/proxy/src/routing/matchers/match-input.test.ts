import { FilterStateInput } from '@weft/contracts/envoy/extensions/matching/common_inputs/network/v3/network_inputs'
import { expect, test } from 'vitest'
import { FakeStream } from '../../filters/http/fake-stream.ts'
import { compileMatchInput } from './match-input.ts'

test.each([
  ['an object by its key', 'my.key', '', 'text'],
  ['nothing of an object that is not there', 'other', '', null],
  ['nothing of a field, which texts have none of', 'my.key', 'part', null],
])('filter state gives %s', (_what, key, field, value) => {
  const typeUrl = 'type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput'
  const read = compileMatchInput(
    { typeUrl, value: Buffer.from(FilterStateInput.encode({ key, field }).finish()) },
    'here',
    'request',
  )
  const stream = new FakeStream({})
  stream.filterState.set('my.key', 'text')
  expect(read(stream)).toBe(value)
})
