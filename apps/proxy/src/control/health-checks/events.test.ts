import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { HealthCheckEventFileSink } from '@weft/contracts/envoy/extensions/health_check/event_sinks/file/v3/file'
import { expect, onTestFinished, test } from 'vitest'
import { ProxyLog } from '../../log.ts'
import { eventLogPaths, healthCheckEvents } from './events.ts'

const sink = (eventLogPath: string, type = 'envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink') => ({
  name: 'sink',
  typedConfig: {
    typeUrl: `type.googleapis.com/${type}`,
    value: Buffer.from(HealthCheckEventFileSink.encode({ eventLogPath }).finish()),
  },
})

test('events go to every sink, and to the older path beside them', () => {
  const config = HealthCheck.fromPartial({ eventLogPath: '/old', eventLogger: [sink('/a'), sink('/b')] })
  expect(eventLogPaths(config, 'here')).toEqual(['/old', '/a', '/b'])
  expect(eventLogPaths(HealthCheck.fromPartial({ eventLogPath: '/old' }), 'here')).toEqual(['/old'])
  expect(() => eventLogPaths(HealthCheck.fromPartial({ eventLogger: [sink('/a', 'some.Other')] }), 'here')).toThrow(/some\.Other/)
})

test('a change of health is a line of JSON in each file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-events-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const paths = ['one', 'two'].map((name) => join(folder, name))
  const config = HealthCheck.fromPartial({ eventLogger: paths.map((path) => sink(path)) })
  const events = healthCheckEvents(config, 'c', new ProxyLog({ level: 'off' }).of('hc'))
  const outcome = { endpoint: LbEndpoint.fromPartial({}), key: '10.0.0.1:80', result: 'network' as const, degradation: false }
  events?.checked({ ...outcome, failed: true, changed: true, first: true })
  events?.close()
  for (const path of paths) {
    const [line = ''] = readFileSync(path, 'utf8').split('\n')
    expect(JSON.parse(line)).toMatchObject({ cluster_name: 'c', eject_unhealthy_event: { failure_type: 'NETWORK' } })
  }
})
