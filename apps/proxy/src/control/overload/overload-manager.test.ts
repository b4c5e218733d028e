import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OverloadManager as OverloadConfig } from '@weft/contracts/envoy/config/overload/v3/overload'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseConfigDocument } from '../../bootstrap/document.ts'
import { ProxyLog } from '../../log.ts'
import { Stats } from '../../observe/stats.ts'
import { ProcessState } from '../../shared/process-state.ts'
import { decodeDocuments } from '../validation/decode.ts'
import { checkOverload, OverloadManager } from './overload-manager.ts'

const prefix = 'envoy.overload_actions.'
const injected = (file: string) =>
  `{name: injected, typed_config: {'@type': type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig, filename: ${file}}}`
const action = (name: string, trigger: string) => `{name: ${name}, triggers: [{name: injected, ${trigger}}]}`
const configOf = (yaml: string) =>
  OverloadConfig.decode(decodeDocuments('envoy.config.overload.v3.OverloadManager', [parseConfigDocument(yaml)]))

function managed(actions: string[], points: string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-overload-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'pressure')
  writeFileSync(file, '0')
  const [state, stats] = [new ProcessState(), new Stats(null)]
  const yaml = `{refresh_interval: 3600s, resource_monitors: [${injected(file)}], actions: [${actions}], loadshed_points: [${points}]}`
  const manager = new OverloadManager(configOf(yaml), { state, stats, log: new ProxyLog({ level: 'off' }).of('main') })
  onTestFinished(() => manager.close())
  const press = (pressure: string): void => {
    writeFileSync(file, pressure)
    manager.refresh()
  }
  return { state, stats, press }
}

describe('the overload manager', () => {
  it('acts from a threshold on, and no longer than it has to', () => {
    const { state, stats, press } = managed([action(`${prefix}stop_accepting_requests`, 'threshold: {value: 0.7}')])
    press('0.69')
    expect([state.overloaded, state.saturated('stop_accepting_requests')]).toEqual([false, false])
    press('0.7')
    expect([state.overloaded, state.saturated('stop_accepting_requests')]).toEqual([true, true])
    expect(stats.gauge(`overload.${prefix}stop_accepting_requests.active`).value).toBe(1)
    expect(stats.gauge('overload.injected.pressure').value).toBe(70)
    press('0.1')
    expect(state.overloaded).toBe(false)
  })

  it('acts by a share between two thresholds', () => {
    const scaled = 'scaled: {scaling_threshold: 0.2, saturation_threshold: 0.6}'
    const { state, stats, press } = managed(
      [action(`${prefix}disable_http_keepalive`, scaled), action(`${prefix}shrink_heap`, scaled)],
      [action('envoy.load_shed_points.tcp_listener_accept', scaled)],
    )
    press('0.3')
    state.random = () => 0.24
    expect([state.draws('disable_http_keepalive'), state.draws('tcp_listener_accept')]).toEqual([true, true])
    state.random = () => 0.26
    expect([state.draws('disable_http_keepalive'), state.draws('reject_incoming_connections')]).toEqual([false, false])
    expect(stats.gauge(`overload.${prefix}disable_http_keepalive.scale_percent`).value).toBe(25)
    press('0.9')
    expect(state.saturated('disable_http_keepalive')).toBe(true)
    expect(stats.counter(`overload.${prefix}shrink_heap.shrink_count`).value).toBe(1)
  })

  it('shortens timeouts by a share, down to what is left to them', () => {
    const type = 'type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig'
    const factors = `[{timer: HTTP_DOWNSTREAM_CONNECTION_IDLE, min_timeout: 2s}, {timer: HTTP_DOWNSTREAM_STREAM_IDLE, min_scale: {value: 10}}]`
    const trigger = `scaled: {scaling_threshold: 0.2, saturation_threshold: 0.6}`
    const config = `{name: ${prefix}reduce_timeouts, triggers: [{name: injected, ${trigger}}], typed_config: {'@type': ${type}, timer_scale_factors: ${factors}}}`
    const { state, press } = managed([config])
    const other = new ProcessState(state.buffer)
    const now = () => [
      other.scaled('connection-idle', 10_000),
      other.scaled('connection-idle', 1_000),
      other.scaled('stream-idle', 10_000),
      other.scaled('connection-max', 10_000),
      other.scaled('stream-idle', 0),
    ]
    expect(now()).toEqual([10_000, 1_000, 10_000, 10_000, 0])
    press('0.3')
    expect(now()).toEqual([8_000, 1_000, 7_750, 10_000, 0])
    press('0.9')
    expect(now()).toEqual([2_000, 1_000, 1_000, 10_000, 0])
    expect([other.isScaled('stream-idle'), other.isScaled('connection-max')]).toEqual([true, false])
  })

  it('keeps to what it knew where a resource cannot be read', () => {
    const { state, stats, press } = managed([action(`${prefix}stop_accepting_requests`, 'threshold: {value: 0.5}')])
    press('0.9')
    for (const pressure of ['', 'much', '1.5']) press(pressure)
    expect(state.saturated('stop_accepting_requests')).toBe(true)
    expect(stats.counter('overload.injected.failed_updates').value).toBe(3)
  })

  it('counts connections of all listeners together', () => {
    const yaml = `{resource_monitors: [{name: cx, typed_config: {'@type': type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig, max_active_downstream_connections: 2}}]}`
    const state = new ProcessState()
    const manager = new OverloadManager(configOf(yaml), {
      state,
      stats: new Stats(null),
      log: new ProxyLog({ level: 'off' }).of('main'),
    })
    onTestFinished(() => manager.close())
    const other = new ProcessState(state.buffer)
    expect([state.enterConnection(), other.enterConnection(), state.enterConnection()]).toEqual([true, true, false])
    other.leaveConnection()
    expect(state.enterConnection()).toBe(true)
  })

  it.each([
    [
      'a trigger that is no monitor',
      `{resource_monitors: [${injected('/f').replace('injected', 'other')}], actions: [${action(`${prefix}shrink_heap`, 'threshold: {value: 1}')}]}`,
      'Unknown trigger resource',
    ],
    [
      'an action that there is not',
      `{resource_monitors: [${injected('/f')}], actions: [${action(`${prefix}dance`, 'threshold: {value: 1}')}]}`,
      'not supported',
    ],
    [
      'thresholds in the wrong order',
      `{resource_monitors: [${injected('/f')}], actions: [${action(`${prefix}shrink_heap`, 'scaled: {scaling_threshold: 0.9, saturation_threshold: 0.8}')}]}`,
      'must be less',
    ],
    [
      'timeouts that get shorter, and none named',
      `{resource_monitors: [${injected('/f')}], actions: [${action(`${prefix}reduce_timeouts`, 'threshold: {value: 1}')}]}`,
      'requires typed_config',
    ],
    ['a monitor twice', `{resource_monitors: [${injected('/f')}, ${injected('/g')}]}`, 'Duplicate resource monitor'],
  ])('is refused with %s', (_what, yaml, message) => {
    expect(() => checkOverload(configOf(yaml))).toThrow(message)
  })
})
