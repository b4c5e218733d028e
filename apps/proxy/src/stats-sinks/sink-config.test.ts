import { DogStatsdSink, StatsdSink, StatsSink } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { expect, test } from 'vitest'
import { readSinks } from './sink-config.ts'

const sink = (type: string, value: Uint8Array) =>
  StatsSink.fromPartial({
    name: 'sink',
    configType: {
      $case: 'typedConfig',
      value: { typeUrl: `type.googleapis.com/envoy.config.metrics.v3.${type}`, value: Buffer.from(value) },
    },
  })
const at = (address: string) => ({
  address: { $case: 'socketAddress' as const, value: { address, portSpecifier: { $case: 'portValue' as const, value: 8125 } } },
})
const statsd = (specifier: NonNullable<StatsdSink['statsdSpecifier']>, prefix = '') =>
  sink('StatsdSink', StatsdSink.encode(StatsdSink.fromPartial({ statsdSpecifier: specifier, prefix })).finish())

test('servers are told by UDP, or by a cluster that there is', () => {
  const address = { $case: 'address' as const, value: at('127.0.0.1') }
  const dog = DogStatsdSink.fromPartial({ dogStatsdSpecifier: address, maxBytesPerDatagram: 512 })
  const sinks = [
    statsd(address as NonNullable<StatsdSink['statsdSpecifier']>, 'mine'),
    statsd({ $case: 'tcpClusterName', value: 'known' }),
    sink('DogStatsdSink', DogStatsdSink.encode(dog).finish()),
  ]
  const udp = { type: 'udp', host: '127.0.0.1', port: 8125 }
  expect(readSinks(sinks, (name) => name === 'known')).toEqual([
    { prefix: 'mine', tags: false, to: { ...udp, maxBytes: 0 } },
    { prefix: 'envoy', tags: false, to: { type: 'tcp', cluster: 'known' } },
    { prefix: 'envoy', tags: true, to: { ...udp, maxBytes: 512 } },
  ])
})

test.each([
  [statsd({ $case: 'tcpClusterName', value: 'nobody' }), /unknown cluster 'nobody'/],
  [
    statsd({ $case: 'address', value: at('a.name') } as NonNullable<StatsdSink['statsdSpecifier']>),
    /malformed IP address: a\.name/,
  ],
  [sink('HystrixSink', Buffer.alloc(0)), /HystrixSink/],
])('refuses a server that cannot be', (config, why) => {
  expect(() => readSinks([config], () => false)).toThrow(why)
})
