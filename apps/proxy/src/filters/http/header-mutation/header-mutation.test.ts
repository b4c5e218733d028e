import { HeaderMutation } from '@weft/contracts/envoy/extensions/filters/http/header_mutation/v3/header_mutation'
import { expect, test } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { headerMutation } from './index.ts'

const compile = (type: string) => {
  const formatters = [
    { name: 'f', typedConfig: { typeUrl: `type.googleapis.com/envoy.extensions.formatter.${type}`, value: Buffer.of() } },
  ]
  return headerMutation.compile(
    HeaderMutation.encode(HeaderMutation.fromPartial({ mutations: { formatters } })).finish(),
    new FakeContext(),
  )
}

test.each(['metadata.v3.Metadata', 'req_without_query.v3.ReqWithoutQuery', 'cel.v3.Cel'])(
  'a formatter whose commands every format has is taken: %s',
  (type) => {
    expect(compile(type).start).toBeTypeOf('function')
  },
)

test('another is refused', () => {
  expect(() => compile('dance.v3.Dance')).toThrow("formatter 'envoy.extensions.formatter.dance.v3.Dance'")
})
