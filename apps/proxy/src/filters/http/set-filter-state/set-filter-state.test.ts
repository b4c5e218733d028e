import { Config } from '@weft/contracts/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state'
import { expect, test } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { setFilterState } from './index.ts'

function run(clearRouteCache: boolean): FakeStream {
  const text = {
    format: {
      $case: 'textFormatSource' as const,
      value: { specifier: { $case: 'inlineString' as const, value: '%REQ(:PATH)%' } },
    },
  }
  const source = Config.fromPartial({
    clearRouteCache,
    onRequestHeaders: [
      {
        key: { $case: 'objectKey', value: 'my.key' },
        factoryKey: 'envoy.string',
        value: { $case: 'formatString', value: text },
      },
    ],
  })
  const context = new FakeContext()
  const stream = new FakeStream({ path: '/a' })
  const filter = setFilterState.compile(Config.encode(source).finish(), context).start(stream, undefined)
  expect(filter?.onRequestHeaders?.(stream, true)).toBe('continue')
  context.close()
  return stream
}

test('an object is what its format gives of the request, and the route stays', () => {
  const stream = run(false)
  expect(stream.filterState.get('my.key')).toBe('/a')
  expect(stream.routesCleared).toBe(0)
})

test('with clear_route_cache the route is looked for anew, by the objects there are then', () => {
  const stream = run(true)
  expect(stream.filterState.get('my.key')).toBe('/a')
  expect(stream.routesCleared).toBe(1)
})
