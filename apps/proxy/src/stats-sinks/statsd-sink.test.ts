import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { until } from '@weft/service/testing/until'
import { expect, onTestFinished, test } from 'vitest'
import { readSettings } from '../bootstrap/settings.ts'
import { Control } from '../control/control.ts'
import { RecordingWorker } from '../control/testing/recording-worker.ts'
import { bootstrap } from '../control/testing/resources.ts'
import { parseFlags } from '../flags.ts'
import { ProxyLog } from '../log.ts'
import { startStatsSinks } from './statsd-sink.ts'

const type = "'@type': type.googleapis.com/envoy.config.metrics.v3.StatsdSink"

/** The sinks of a proxy whose interval is longer than any test. */
async function sinksOf(sink: string, clusters = ''): Promise<{ close(): Promise<void> }> {
  const flags = parseFlags(['--concurrency', '1', '-l', 'off'], 'test')
  if ('print' in flags) throw new Error('flags that print')
  const yaml = `stats_flush_interval: 60s\nstats_sinks: [{name: s, typed_config: {${type}, ${sink}}}]\n${clusters}`
  const settings = readSettings(bootstrap(yaml), flags)
  const worker = new RecordingWorker()
  const control = new Control({ settings, flags, log: new ProxyLog({ level: 'off' }), workerFactory: () => worker })
  onTestFinished(() => control.stop(0))
  await control.start()
  return startStatsSinks(control)
}

test('tells by UDP what there is at the end', async () => {
  const server = createSocket('udp4').bind(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const lines: string[] = []
  server.on('message', (message) => lines.push(String(message)))
  const { close } = await sinksOf(
    `address: {socket_address: {protocol: UDP, address: 127.0.0.1, port_value: ${server.address().port}}}`,
  )
  await close()
  await until(() => lines.includes('envoy.server.live:1|g'), 'the statistics at the server')
})

test('tells it by a connection to an endpoint of a cluster, and ends when it has left', async () => {
  const received: string[] = []
  const server = createServer((socket) => {
    let text = ''
    socket.on('data', (bytes) => {
      text += String(bytes)
    })
    socket.on('end', () => received.push(text))
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const endpoint = `{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${port}}}}}`
  const { close } = await sinksOf(
    'tcp_cluster_name: statsd',
    `static_resources: {clusters: [{name: statsd, type: STATIC, load_assignment: {cluster_name: statsd, endpoints: [{lb_endpoints: [${endpoint}]}]}}]}`,
  )
  await close()
  await until(() => received.length === 1, 'the connection to end')
  expect(received[0]).toMatch(/^envoy\.server\.live:1\|g$/m)
  expect(received[0]).toMatch(/\n$/)
})
