import { Config } from '@weft/contracts/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state'
import { expect, it } from 'vitest'
import { cluster, connectionManager, listener, routeTo, typed } from '../../../testing/resources.ts'
import { upstream, worker } from '../../../testing/test-proxy.ts'
import { ask } from '../../../testing/worker-harness.ts'

const text = (key: string, format: string, factoryKey = 'envoy.string') => ({
  key: { $case: 'objectKey' as const, value: key },
  factoryKey,
  value: {
    $case: 'formatString' as const,
    value: {
      format: { $case: 'textFormatSource' as const, value: { specifier: { $case: 'inlineString' as const, value: format } } },
    },
  },
})

const filterOf = (config: Parameters<typeof Config.fromPartial>[0]) =>
  typed(
    'state',
    'envoy.extensions.filters.network.set_filter_state.v3.Config',
    Config.encode(Config.fromPartial(config)).finish(),
  )

it('what a connection is given is there for each of its requests', async () => {
  const server = await upstream()
  const proxy = worker()
  const state = filterOf({
    onNewConnection: [text('a', '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'), text('b', '%DOWNSTREAM_TLS_VERSION%')],
    onDownstreamTlsHandshake: [text('c', '%FILTER_STATE(a:PLAIN)% too')],
    onDownstreamData: [text('d', 'later')],
  })
  const shown = { header: { key: 'x-state', value: ['a', 'b', 'c', 'd'].map((key) => `%FILTER_STATE(${key}:PLAIN)%`).join('|') } }
  const route = { ...routeTo('c'), responseHeadersToAdd: [shown] }
  const chain = { filters: [state, connectionManager([route])] }
  expect(await proxy.apply(cluster('c', [server.port]), listener('in', [chain]))).toEqual([])
  expect((await ask(proxy.port('in'))).headers['x-state']).toBe('127.0.0.1|-|127.0.0.1 too|later')
})

it('an object that nothing can make is refused', async () => {
  const proxy = worker()
  const chain = { filters: [filterOf({ onNewConnection: [text('a', 'x', 'nobody')] }), connectionManager([])] }
  const [problem] = await proxy.apply(listener('in', [chain]))
  expect(JSON.stringify(problem)).toContain("'nobody' does not have an object factory")
})
