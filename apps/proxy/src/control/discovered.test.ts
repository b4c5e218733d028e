import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@weft/service/testing/until'
import { describe, expect, onTestFinished, test } from 'vitest'
import { configDump } from '../admin/config-dump.ts'
import { StatView } from '../admin/stat-view.ts'
import { readSettings } from '../bootstrap/settings.ts'
import { parseFlags } from '../flags.ts'
import { ProxyLog } from '../log.ts'
import { worker } from '../testing/test-proxy.ts'
import { ask } from '../testing/worker-harness.ts'
import { Control } from './control.ts'
import { fetchedStates } from './fetched-resources.ts'
import { DiscoveryServer } from './testing/discovery-server.ts'
import { RecordingWorker } from './testing/recording-worker.ts'
import { adsBootstrap, bootstrap, resource } from './testing/resources.ts'

function controlOf(yaml: string): { control: Control; worker: RecordingWorker } {
  const flags = parseFlags(['--concurrency', '1', '-l', 'off'], 'test')
  if ('print' in flags) throw new Error('flags that print')
  const worker = new RecordingWorker()
  const settings = readSettings(bootstrap(yaml), flags)
  const control = new Control({ settings, flags, log: new ProxyLog({ level: 'off' }), workerFactory: () => worker })
  onTestFinished(() => control.stop(0))
  return { control, worker }
}

/** What `/config_dump` has of one kind. */
async function dumped(control: Control, kind: string): Promise<unknown> {
  const context = { control, stats: new StatView(control), quit: () => undefined }
  const { body } = await configDump.handle(context, { method: 'GET', query: new URLSearchParams({ resource: kind }), body: '' })
  return JSON.parse(typeof body === 'string' ? body : body()).configs
}

const prefix = 'type.googleapis.com/envoy.extensions.filters.'
const mutation = `${prefix}http.header_mutation.v3.HeaderMutation`

/** A configuration of header_mutation that marks responses. */
const marks = (name: string, word: string) =>
  `{name: ${name}, typed_config: {'@type': ${mutation}, mutations: {response_mutations: [{append: {header: {key: x-mark, value: ${word}}}}]}}}`

/** A listener that answers by itself, through a filter whose configuration is discovered. */
const listener = (more: string) => `
name: in
address: {socket_address: {address: 127.0.0.1, port_value: 0}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      '@type': ${prefix}network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: in
      route_config: {virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]}
      http_filters:
      - name: mark
        config_discovery: {config_source: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 60s}, type_urls: [${mutation}]${more}}
      - {name: router, typed_config: {'@type': ${prefix}http.router.v3.Router}}`

describe('a filter that is discovered', () => {
  test('is fetched before its listener opens, checked for its type, and replaced alone', async () => {
    const discovery = new DiscoveryServer()
    await discovery.start()
    onTestFinished(() => discovery.stop())
    discovery.serve('cluster', '1', [])
    discovery.serve('listener', '1', [resource('listener', listener(''))])
    discovery.serve('extension', '1', [resource('extension', marks('mark', 'one'))])
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    expect(worker.order.slice(-2)).toEqual(['extension/mark', 'listener/in'])
    expect(discovery.last('extension')?.resourceNames).toEqual(['mark'])
    const other = `{name: mark, typed_config: {'@type': ${prefix}http.cors.v3.Cors}}`
    discovery.serve('extension', '2', [resource('extension', other)])
    await until(() => discovery.nack('extension') !== undefined, 'the refusal')
    expect(discovery.nack('extension')).toContain('has type URL')
    discovery.serve('extension', '3', [resource('extension', marks('mark', 'three'))])
    await until(() => discovery.last('extension')?.versionInfo === '3', 'the third version')
    expect(worker.order.at(-1)).toBe('extension/mark')
    expect(fetchedStates(control.extensions)).toMatchObject([{ name: 'mark', version: '3' }])
    expect(await dumped(control, 'ecds_filters')).toMatchObject([{ version_info: '3', ecds_filter: { name: 'mark' } }])
  })

  test('goes by its default until it comes where it need not warm', async () => {
    const discovery = new DiscoveryServer()
    await discovery.start()
    onTestFinished(() => discovery.stop())
    discovery.serve('cluster', '1', [])
    const fallback = `, default_config: {'@type': ${mutation}}, apply_default_config_without_warming: true`
    discovery.serve('listener', '1', [resource('listener', listener(fallback))])
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    expect(worker.order.at(-1)).toBe('listener/in')
  })

  test('holds for requests from when it comes, with 500 where there is none', async () => {
    const proxy = worker()
    const bytes = resource('listener', listener('')).bytes
    expect(await proxy.apply({ kind: 'listener', name: 'in', bytes })).toEqual([])
    const answer = async () => {
      const { status, headers } = await ask(proxy.port('in'), '/')
      return [status, headers['x-mark']]
    }
    expect(await answer()).toEqual([500, undefined])
    const extension = (word: string) => ({
      kind: 'extension' as const,
      name: 'mark',
      bytes: resource('extension', marks('mark', word)).bytes,
    })
    expect(await proxy.apply(extension('one'))).toEqual([])
    expect(await answer()).toEqual([200, 'one'])
    await proxy.apply(extension('two'))
    expect(await answer()).toEqual([200, 'two'])
    await proxy.apply({ kind: 'extension', name: 'mark', bytes: null })
    expect(await answer()).toEqual([500, undefined])
  })
})

test('a layer of the runtime that is discovered is there before the proxy is live, and follows its source', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-rtds-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'runtime.yaml')
  const serve = (version: number, percent: number) =>
    writeFileSync(
      file,
      `version_info: '${version}'\nresources: [{'@type': type.googleapis.com/envoy.service.runtime.v3.Runtime, name: knobs, layer: {shop: {percent: ${percent}}, base: 9}}]`,
    )
  serve(1, 30)
  const { control } = controlOf(`
node: {id: a, cluster: a}
layered_runtime:
  layers:
  - {name: base, static_layer: {base: 1, own: 2}}
  - name: rtds
    rtds_layer: {name: knobs, rtds_config: {path_config_source: {path: ${file}}, resource_api_version: V3}}`)
  await control.start()
  expect(control.runtime.values()).toEqual({ base: 9, own: 2, 'shop.percent': 30 })
  serve(2, 60)
  await until(() => control.runtime.values()['shop.percent'] === 60, 'the second version')
  expect(control.reader.value('runtime.update_success')).toBe(2)
})
